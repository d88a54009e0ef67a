"""How far a table errs of which only some blocks are measured."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

import search_spaces
from experiments.benchmarks.profiling import main
from latency_predictors.analytic.roofline import Roofline
from latency_predictors.device import Device, Measurement
from latency_predictors.table.latency_table import TABLE, LatencyTable, MeasuredNetwork

SPACE = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8)


def test_the_shares_of_the_docstring_are_told_and_interpolated_tables_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {repr(block): 1e-6 + Roofline().latency_ms(block) for block in SPACE.index.blocks}
    blocks = {name: Measurement(ms, ms, ms, 0.0, 10, stable=True, pinned=True) for name, ms in times.items()}
    population = SPACE.sample(20, np.random.default_rng(0))
    latencies = Roofline().cost_model(SPACE).predict(population).tolist()
    whole = [MeasuredNetwork(a, ms, ms) for a, ms in zip(SPACE.decode(population), latencies, strict=True)]
    table = LatencyTable(SPACE, Device(), {}, blocks, whole[:10], whole[10:])
    table.save(tmp_path / TABLE)
    monkeypatch.setattr(sys, "argv", ["profiling", "--table", str(tmp_path), "--shares", "1", "--draws", "1"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-4] for line in lines[-2:]] == ["0.00%"] * 2
    for share in ("nan", "-1", "0", "7"):
        monkeypatch.setattr(sys, "argv", ["profiling", "--table", str(tmp_path), f"--shares={share}"])
        with pytest.raises(SystemExit):
            main()
        assert f"--shares {share}: expected shares of the blocks, above 0 and at" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["profiling", "--table", str(tmp_path), "--shares", "0.01", "--draws", "1"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-2:]] == [f"{min(1, 20 / len(blocks)):.0%}"] * 2
    dataclasses.replace(table, interpolation_error=0.1).save(tmp_path / TABLE)
    with pytest.raises(SystemExit):
        main()
    assert "holds interpolated blocks: profile the space" in capsys.readouterr().err
