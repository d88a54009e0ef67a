"""How many seeds each strategy gets, and what is refused before anything is searched."""

import json
import shutil
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.tabular.__main__ import main, n_seeds
from experiments.tabular.nasbench201 import LATENCIES, RESULTS
from search_spaces import InputError


def test_what_is_said_of_a_strategy_goes_before_what_is_said_of_all() -> None:
    assert n_seeds("nsga2", ["20", "nsga2=3"]) == 3
    assert n_seeds("ppo", ["20", "nsga2=3"]) == 20


@pytest.mark.parametrize("said", [["0"], ["nsga2=3"], ["many"], ["-1"]])
def test_no_seeds_are_refused(said: list[str]) -> None:
    with pytest.raises(InputError, match="expected a positive number, as in --seeds 20 ppo=5"):
        n_seeds("ppo", said)


def refused(monkeypatch: pytest.MonkeyPatch, folder: Path, *said: str) -> str:
    """Return the line that the command ends with; it writes nothing."""
    output = folder / "out"
    stderr = StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    command = ["tabular", "--output", str(output), "--strategies", "random_search", *said]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=r"^2$"):
        main()
    assert not output.exists()
    return stderr.getvalue().removesuffix("\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--strategies", "nsga"], "unknown strategy 'nsga': did you mean nsga2"),
        (["--latencies", "phones"], "unknown column of latencies 'phones': did you mean phone?"),
        (["--data", "absent"], "expected a folder with nasbench201.parquet"),
        (["--strategies", "darts"], "strategy darts cannot search table, which lacks networks to build: use "),
        (
            ["--strategies", "nsga2", "--seeds", "2", "nsga=1"],
            "unknown strategy of --seeds 'nsga': did you mean nsga2?",
        ),
        (["--processes", "0"], "--processes 0: expected at least 1"),
        (["--seeds", "2", "1"], "--seeds 2 1: expected one number of all, leave one out"),
        (
            ["--seeds", "random_search=1", "random_search=2"],
            "--seeds random_search=1 random_search=2: expected one number of random_search",
        ),
        (["--key", "index"], "--key index does nothing to NAS-Bench-201: leave it out"),
        (["--accuracies", "phone"], "column phone is given as accuracy and as latency: leave it out of one of them"),
        (["--readme", "absent.md"], "absent.md is no file: expected a document with lines <!-- strategies-tabular"),
    ],
)
def test_bad_input_is_told_in_one_line_and_writes_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    line = refused(monkeypatch, tmp_path, "--data", str(folder), "--latencies", "phone", *arguments)
    assert told in line
    assert "\n" not in line


def test_what_says_no_columns_is_told_which_there_are(
    folder: Path, made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pq.read_table(folder / RESULTS).drop_columns("c10_test_e200"), tmp_path / RESULTS)
    shutil.copy(folder / LATENCIES, tmp_path)
    told = refused(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert told.endswith("has no columns of accuracies ending in _test_e200: it has phone")
    of_files = ("--files", str(made_up), "--choices", "depth", "width", "operation")
    told = refused(monkeypatch, tmp_path, *of_files, "--latencies", "phone_ms")
    assert told.endswith("--files takes --accuracies, too: columns of made_up.parquet: top1, phone_ms")
    assert "use --files" in refused(monkeypatch, tmp_path, "--data", str(folder), "--choices", "op_0_1")
    told = refused(monkeypatch, tmp_path, *of_files, "--accuracies", "top1", "--latencies", "depth")
    assert "column depth is given as choice and as latency: leave it out of one of them" in told
    told = refused(monkeypatch, tmp_path, *of_files, "--key", "depth")
    assert "--key depth does nothing, as a single file is joined to none: leave it out" in told


def test_another_benchmark_is_compared_on_by_naming_its_columns(
    made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["--files", str(made_up), "--choices", "depth", "width", "operation", "--categories", "operation"]
    said += [
        "--accuracies",
        "top1",
        "top1",
        "--latencies",
        "phone_ms",
        "phone_ms",
        "--output",
        str(tmp_path),
        "--seeds",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", ["tabular", *said, "--strategies", "regularized_evolution", "--processes", "1"])
    main()
    assert "`regularized_evolution`" in capsys.readouterr().out
    report = (tmp_path / "report.md").read_text()
    assert report.startswith("# Search strategies compared on made_up.parquet")
    assert "top1 / phone_ms under 25%" in report
    assert "The table has 36 architectures, too few for 50, 100, 200, 400 evaluations." in report
    assert "1.000" not in report
    budgets = {int(line.split(",")[3]) for line in (tmp_path / "figures.csv").read_text().splitlines()[1:]}
    assert budgets == {10, 20, 30}
    about = json.loads((tmp_path / "searches" / "regularized_evolution.jsonl").read_text().splitlines()[0])["data"]
    assert about["choices"] == ["depth", "width", "operation"]
    assert about["categories"] == ["operation"]
    assert [*about["files"]] == ["made_up.parquet"]


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three choices, of numbers and of an operation's codes, without a key."""
    depth, width, operation = np.indices((3, 4, 3)).reshape(3, -1)
    noise = np.random.default_rng(0).random(len(depth))
    file = tmp_path_factory.mktemp("made_up") / "made_up.parquet"
    columns = {"depth": depth, "width": width / 4, "operation": operation}
    pq.write_table(
        pa.table(columns | {"top1": 60 + depth + width + noise, "phone_ms": 1 + depth * width + noise}), file
    )
    return file
