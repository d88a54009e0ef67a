"""A search is taken for the same only if it is asked for in the same way; cells are looked up by their operations."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.skip_collapse import described, main, published, searched
from experiments.tabular.nasbench201 import CELL, OPERATIONS
from search_spaces import Architecture


def test_whatever_a_search_is_told_is_part_of_what_it_belongs_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[Mapping[str, Any]] = []
    descent = argparse.Namespace(run=lambda directory, belongs_to: told.append(belongs_to))
    for name, stub in {"Supernet": None, "SharedWeights": None, "ArchitectureDescent": descent}.items():
        monkeypatch.setattr(f"experiments.skip_collapse.{name}", lambda *_, made=stub: made)
    given = {"data": "digits", "channels": 1, "resolution": 16, "width": 2, "cells": 1, "output": tmp_path}
    for epochs, rate in ((1, None), (2, None), (1, 0.1)):
        searched("darts", 0, argparse.Namespace(**given, epochs=epochs, logit_learning_rate=rate))
    assert [(each["epochs"], each["logit_learning_rate"]) for each in told] == [(1, 0.05), (2, 0.05), (1, 0.1)]


def table(folder: Path) -> Path:
    """Write a table of two cells; return its file."""
    rows = np.array([[1] * 6, [3] * 6])
    choices = {f"op_{a}_{b}": rows[:, i] for i, (a, b) in enumerate(CELL.edges)}
    pq.write_table(pa.table(choices | {"c10_test_e200": [80.0, 94.0]}), folder / "published.parquet")
    return folder / "published.parquet"


def test_a_cell_is_looked_up_by_its_operations(tmp_path: Path) -> None:
    accuracies = published(table(tmp_path))
    for operation, told in ((1, "6 skip connections, 80.00 %"), (3, "0 skip connections, 94.00 %"), (0, "nan %")):
        cell = Architecture({f"edge_{a}_{b}": OPERATIONS[operation] for a, b in CELL.edges})
        assert told in described(cell, accuracies)


@pytest.mark.slow
def test_eigenvalues_are_printed_and_other_options_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["skip_collapse", "--nasbench201", str(table(tmp_path)), "--output", str(tmp_path), "--seeds", "1"]
    said += ["--width", "2", "--epochs", "1"]
    monkeypatch.setattr(sys, "argv", said)
    main()
    assert capsys.readouterr().out.count("eigenvalue") == 2
    monkeypatch.setattr(sys, "argv", [*said, "--logit-learning-rate", "0.1"])
    with pytest.raises(SystemExit):
        main()
    assert "was made with logit_learning_rate = 0.05, asked for is 0.1" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*said, "--data", "digit"])
    with pytest.raises(SystemExit):
        main()
    assert "digit" in capsys.readouterr().err
