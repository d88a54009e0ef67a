"""What the smaller commands cannot do ends in one line, before anything is computed."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.command import one_line, resumable
from nas.search_options import SearchOptions


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A table of three architectures, of which one computes nothing of the image."""
    columns = {"arch": ["a", "b", "c"], "connected": [True, True, False]}
    accuracies = {"c10_test_e200": [90.0, 91.0, 10.0], "c100_test_e200": [70.0, 71.0, 1.0]}
    pq.write_table(pa.table(columns | accuracies), tmp_path / "published.parquet")
    return tmp_path / "published.parquet"


@pytest.mark.parametrize(
    ("command", "said", "told"),
    [
        ("proxies", "--benchmark {table} --networks 3", "--networks 3: published.parquet has 2 that compute something"),
        ("proxies", "--benchmark absent", "absent does not exist: expected a Parquet file"),
        ("inheritance", "--growth 60", "--growth 60: a network was as large as can be after 2: ask for less"),
        ("inheritance", "--children 0", "--children 0: expected at least 1"),
        ("skip_collapse", "--output out --nasbench201 absent", "absent does not exist: expected a Parquet file"),
        ("skip_collapse", "--output out --nasbench201 {table}", "unknown column 'op_0_1'"),
        ("skip_collapse", "--output out --nasbench201 {table} --seeds 0", "--seeds 0: expected at least 1"),
        ("shared_weights", "--output out --run absent --seeds 0", "--seeds 0: expected at least 1"),
        ("codesign", "--run absent", "absent/train holds no supernet.safetensors: train a supernet there first"),
        ("ranking", "--supernet absent", "absent holds no supernet.safetensors: train a supernet there first"),
        ("ranking", "--supernet absent --epochs 0", "epochs 0: input should be greater than or equal to 1"),
        ("baselines", "--run absent", "absent is not the output directory of a nas run"),
        ("published_counts", "", "give --nasbench201 FILE, --fbnet FILE, or both"),
        ("published_counts", "--fbnet {table}", "unknown column of published.parquet 'op_0'"),
        ("faults.__main__", "--output .", "--output . exists: give a new directory"),
        ("benchmarks.cost_models", "--turns 0", "--turns 0: expected at least 1"),
        ("benchmarks.evolution", "--runs 0", "--runs 0: expected at least 1"),
        ("benchmarks.executors", "--workers 4 0", "--workers 0: expected at least 1"),
        ("benchmarks.population_queries", "--pairs 0", "--pairs 0: expected at least 1"),
        ("benchmarks.profiling", "--table absent", "absent/table.json does not exist: expected a latency-table/1 file"),
        ("benchmarks.ranks", "--steps 1", "--steps 1: the first of a turn is not counted, expected at least 2"),
        ("benchmarks.sparse_convolution", "--frame absent", "frame absent: [Errno 2]"),
        ("benchmarks.supernet_step", "--pairs 0", "--pairs 0: expected at least 1"),
        ("benchmarks.table_error", "--threads 0", "threads 0: input should be greater than or equal to 1"),
        ("benchmarks.training_speed", "--rounds 0", "--rounds 0: expected at least 1"),
        ("benchmarks.virtual_workers", "--workers 0", "--workers 0: expected at least 1"),
        ("latency_transfer.__main__", "--output out --data absent --seeds 0", "--seeds 0: expected at least 1"),
        ("latency_transfer.__main__", "--output out --data absent --readme {table}", "is no text: expected a document"),
        ("shared_weights", "--output out --run absent --readme absent.md", "absent.md is no file: expected a document"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    command: str,
    said: str,
    told: str,
    published: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    growths = iter((True, True, False))  # as if the space of inheritance were small
    stub = "experiments.inheritance.enlargements"
    monkeypatch.setattr(stub, lambda _, rows: np.full_like(rows, next(growths), bool))
    monkeypatch.chdir(published.parent)
    monkeypatch.setattr(sys, "argv", [command, *said.format(table=published).split()])
    with pytest.raises(SystemExit) as ended:
        import_module(f"experiments.{command}").main()
    assert ended.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in published.parent.iterdir()] == ["published.parquet"]


def test_options_that_a_record_refuses_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"), one_line("c"):
        SearchOptions(n_statistics=8)
    assert capsys.readouterr().err.startswith("c: option: n_statistics 8: input should be greater")


def test_an_interrupt_says_whether_the_same_command_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    for ending, told in ((one_line, "c: stopped"), (resumable, "c: stopped; the same command goes on")):
        with pytest.raises(SystemExit, match=r"^130$"), ending("c"):
            raise KeyboardInterrupt
        assert capsys.readouterr().err == told + "\n"
