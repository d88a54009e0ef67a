"""The protocol on a small table: what is read, planned, predicted and reported, and what is refused."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import search_spaces
from experiments.latency_transfer.__main__ import main
from experiments.latency_transfer.protocol import FIGURES, figures, planned, trimmed
from experiments.latency_transfer.runs import run_all
from experiments.latency_transfer.tables import read
from experiments.tabular.nasbench201 import LATENCIES, RESULTS
from search_spaces import InputError


def write(folder: Path, **changes: np.ndarray) -> Path:
    """Write the form of NAS-Bench-201's tables, with latencies that kernels of 3x3 and 1x1 decide."""
    space = search_spaces.load("nasbench201", dead_edges="keep")
    rows = np.array(list(itertools.product(range(5), repeat=6)))[np.random.default_rng(0).permutation(5**6)[:1900]]
    archs = [space.to_string(one) for one in space.decode(rows)]  # type: ignore[attr-defined]
    rng, index = np.random.default_rng(1), np.arange(len(rows))
    truth = 1.0 + 3 * (rows == 4).sum(axis=1) + (rows == 3).sum(axis=1)
    devices = {name: truth * np.exp(0.02 * rng.normal(size=len(rows))) for name in ("pixel3", "samsung_s7", "board")}
    results = {"index": index, "arch": archs, "unique_string": [str(sorted(row)) for row in rows.tolist()]}
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(results), folder / RESULTS)
    pq.write_table(pa.table({"index": index, **devices, **changes}), folder / LATENCIES)
    return folder


def test_the_middle_of_latencies_is_kept() -> None:
    assert sorted(trimmed(np.arange(20.0)[::-1])) == list(range(2, 18))


def test_a_perfect_prediction_has_perfect_figures() -> None:
    measured = np.random.default_rng(0).uniform(1, 2, 100)
    assert figures(measured, measured, 0.1 * measured) == pytest.approx(
        dict(zip(FIGURES, (1, 1, 0, 1, 1), strict=True))
    )


def test_devices_that_the_protocol_does_not_name_are_targets(tmp_path: Path) -> None:
    data = read(write(tmp_path, whole=np.arange(1, 1901)))
    assert data["nasbench201"].devices("target") == ["board", "whole"]
    assert data["nasbench201"].devices("source") == ["pixel3", "samsung_s7"]
    runs = planned(data, ["target"], seeds=2)
    assert {run.device for run in runs} == {"board", "whole"}
    assert "elsewhere" not in {run.method for run in runs}


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
def test_latencies_that_cannot_be_are_refused(tmp_path: Path, bad: float) -> None:
    column = np.full(1900, 2.0)
    column[7] = bad
    with pytest.raises(InputError, match=r"column board .* expected positive milliseconds"):
        read(write(tmp_path, board=column))


def test_a_comparison_is_of_all_files_that_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    assert run_all([], folder, tmp_path / "out", 1) == {}
    path = folder / RESULTS
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(InputError, match=r"runs\.jsonl .*nasbench201\.parquet = "):
        run_all([], folder, tmp_path / "out", 1)


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither nasbench201_latency.parquet nor fbnet_latency.parquet"):
        read(tmp_path)


@pytest.mark.slow
def test_a_comparison_writes_a_report_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "data")
    monkeypatch.setattr("experiments.latency_transfer.protocol.SAMPLES", (10,))
    said = ["--data", str(folder), "--output", str(tmp_path / "out"), "--roles", "target"]
    monkeypatch.setattr(sys, "argv", ["latency_transfer", *said, "--seeds", "1", "--processes", "1"])
    main()
    report = (tmp_path / "out" / "report.md").read_text()
    line = next(line for line in report.splitlines() if "`board` | designed" in line)
    assert float(line.split("|")[5]) > 0.95
    written = (tmp_path / "out" / "runs.jsonl").read_bytes()
    main()
    assert (tmp_path / "out" / "runs.jsonl").read_bytes() == written
    assert (tmp_path / "out" / "report.md").read_text() == report
    assert capsys.readouterr().out.count("the whole report") == 2
