"""Tables of results are read whole or told what they lack, and searched as far as they go."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.tabular.protocol import Problem
from experiments.tabular.table import Benchmark, Table, read_table
from nas import strategies
from nas.optuna_study import is_of_numbers
from nas.pareto import hypervolume
from search_spaces import InputError

CHOICES = ("op_0", "op_1", "op_2")
METRICS = ["accuracy", "latency"]


def columns(n_options: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Return a complete table: three choices and two metrics of every architecture."""
    rows = np.indices([n_options] * 3).reshape(3, -1)
    rng = np.random.default_rng(seed)
    accuracy = 50 + rows.sum(axis=0) + rng.normal(size=rows.shape[1])
    latency = np.exp(rows.sum(axis=0) / 4 + 0.3 * rng.normal(size=rows.shape[1]))
    return {"index": np.arange(rows.shape[1]), **dict(zip(CHOICES, rows, strict=True))} | {
        "accuracy": accuracy,
        "latency": latency,
    }


def read(folder: Path, held: dict[str, np.ndarray], **options: tuple[str, ...]) -> Table:
    pq.write_table(pa.table(held), folder / "made_up.parquet")
    return read_table(Benchmark((folder / "made_up.parquet",), CHOICES, **options), METRICS)  # type: ignore[arg-type]


def test_every_row_is_looked_up(tmp_path: Path) -> None:
    held = columns()
    order = np.random.default_rng(1).permutation(64)
    table = read(tmp_path, {name: values[order] for name, values in held.items()})
    rows = np.stack([held[name] for name in CHOICES], axis=1)
    assert table.space.size == 64
    assert np.array_equal(table.evaluate(rows[::-1])["accuracy"], held["accuracy"][::-1])


def test_a_column_or_a_file_that_is_missing_is_one_clear_line(tmp_path: Path) -> None:
    held = columns()
    del held["latency"]
    with pytest.raises(InputError, match="unknown column 'latency'") as error:
        read(tmp_path, held)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(InputError, match="is a folder: expected a Parquet file, such as one in it"):
        read_table(Benchmark((tmp_path,), CHOICES), METRICS)
    with pytest.raises(InputError, match=r"absent\.parquet does not exist"):
        read_table(Benchmark((tmp_path / "absent.parquet",), CHOICES), METRICS)
    (tmp_path / "text.parquet").write_text("op_0,op_1")
    with pytest.raises(InputError, match=r"text\.parquet is no Parquet file"):
        read_table(Benchmark((tmp_path / "text.parquet",), CHOICES), METRICS)


def test_columns_that_are_no_choices_or_results_are_refused(tmp_path: Path) -> None:
    held = columns()
    with pytest.raises(InputError, match="column accuracy holds string: expected numbers"):
        read(tmp_path, held | {"accuracy": held["accuracy"].astype(str)})
    gap = pa.array(held["op_1"], mask=held["index"] == 3)
    halves = np.where(held["index"] == 3, np.nan, held["op_1"] / 2)  # no null, but no number either
    for lacking in (gap, pa.array(halves, from_pandas=False)):
        with pytest.raises(InputError, match=r"column op_1 has no value in row 3 \(from 0\): put a finite value"):
            read(tmp_path, held | {"op_1": lacking})
    with pytest.raises(InputError, match=r"column op_1 holds list<.*>: expected numbers or text"):
        read(tmp_path, held | {"op_1": pa.array([[1, 2]] * 64)})
    with pytest.raises(InputError, match=r"made_up\.parquet has no rows"):
        read(tmp_path, {name: values[:0] for name, values in held.items()})
    table = read(tmp_path, held | {"latency": np.append(held["latency"][1:], 0)})
    with pytest.raises(InputError, match="column latency has 0 among its latencies: expected positive ones"):
        Problem(table, *METRICS)
    with pytest.raises(InputError, match="unknown choice among the categories 'latency'"):
        read(tmp_path, held, categories=("latency",))
    with pytest.raises(InputError, match="choice op_0 is given twice"):
        Benchmark((tmp_path / "made_up.parquet",), (*CHOICES, "op_0"))


def test_numbers_are_numbers_unless_they_are_said_to_be_codes(tmp_path: Path) -> None:
    held = columns() | {"op_2": np.array(["b", "a", "d", "c"])[columns()["op_2"]], "op_1": columns()["op_1"] / 2}
    del held["index"]  # which only several files are joined by
    numbers, halves, text = read(tmp_path, held).space.choices
    assert numbers.options == (0, 1, 2, 3)
    assert halves.options == (0.0, 0.5, 1.0, 1.5)
    assert text.options == ("a", "b", "c", "d")
    codes = read(tmp_path, held, categories=("op_0",))
    assert codes.space.choices[0].options == ("0", "1", "2", "3")
    assert np.array_equal(codes.rows, read(tmp_path, held).rows)
    named = read(tmp_path, held, categories=("op_0",), names=("none", "skip", "conv", "pool"))
    assert named.space.choices[0].options == ("none", "skip", "conv", "pool")
    assert [is_of_numbers(choice) for choice in named.space.choices] == [False, True, False]
    with pytest.raises(InputError, match="unknown code in column op_0 '3'"):
        read(tmp_path, held, categories=("op_0",), names=("none", "skip", "conv"))


def test_rows_that_are_there_twice_or_have_no_result_are_refused(tmp_path: Path) -> None:
    twice = {name: np.append(values, values[3]) for name, values in columns().items()}
    twice["index"] = np.arange(65)
    twice["op_2"] = np.array(["b", "a", "d", "c"])[twice["op_2"]]
    told = r"rows 3 and 64 \(from 0\) hold one architecture, op_0 = 0, op_1 = 0, op_2 = c: leave one out, or name"
    with pytest.raises(InputError, match=told):
        read(tmp_path, twice)
    for value, told in ((np.nan, "no value"), (np.inf, "inf")):
        wrong = columns()
        wrong["latency"][5] = value
        with pytest.raises(InputError, match=rf"column latency has {told} in row 5 \(from 0\): put a finite value"):
            read(tmp_path, wrong)
    rest = {name: wrong.pop(name)[::-1] for name in ("accuracy", "latency")}
    files = tmp_path / "choices.parquet", tmp_path / "results.parquet"
    for file, part in zip(files, (wrong, rest | {"index": wrong["index"][::-1]}), strict=True):
        pq.write_table(pa.table(part), file)
    with pytest.raises(InputError, match="column latency has inf in the row of index 5: put a finite value"):
        read_table(Benchmark(files, CHOICES), METRICS)
    right = columns()
    in_order = rest | {"latency": right["latency"], "index": right["index"], "op_1": right["op_1"]}
    pq.write_table(pa.table(in_order), files[1])
    assert np.array_equal(read_table(Benchmark(files, CHOICES), METRICS).results["latency"], right["latency"])
    pq.write_table(pa.table(in_order | {"op_1": 3 - right["op_1"]}), files[1])
    with pytest.raises(InputError, match=r"column op_1 of .*results\.parquet differs from that of a file before it"):
        read_table(Benchmark(files, CHOICES), METRICS)
    for file, part in zip(files, (wrong, in_order), strict=True):
        pq.write_table(pa.table(part | {"index": right["index"] // 2 * 2}), file)
    with pytest.raises(InputError, match=r"choices\.parquet has index 0 twice: expected each once"):
        read_table(Benchmark(files, CHOICES), METRICS)


@pytest.mark.parametrize("name", ["random_search", "regularized_evolution", "local_search", "predictor_guided"])
def test_an_incomplete_table_is_searched_within_its_rows(name: str, tmp_path: Path) -> None:
    some = np.random.default_rng(2).permutation(216)[:40]
    table = read(tmp_path, {key: values[some] for key, values in columns(6).items()})
    everything = np.indices([6] * 3).reshape(3, -1).T
    there = table.region.contains(everything)
    assert np.array_equal(np.flatnonzero(there), np.sort(some))
    assert np.array_equal(np.isfinite(table.evaluate(everything)["accuracy"]), there)
    assert np.array_equal(table.evaluate(everything)["latency"][some], columns(6)["latency"][some])
    with pytest.raises(InputError, match="the table has no architecture"):
        table.places(everything)
    places = Problem(table, *METRICS).search(strategies.load(name), seed=0, budget=30)
    assert len(np.unique(places)) == 30


def test_a_limit_that_keeps_the_better_half_out_is_searched_below_it(tmp_path: Path) -> None:
    """All of the 2 % of least latency score less than most: what improves among them is to count."""
    short = []
    for seed in range(4):
        problem = Problem(read(tmp_path, columns(10, seed)), *METRICS, limit=0.02)
        places = problem.search(strategies.load("predictor_guided"), seed=seed, budget=60)
        short.append(problem.figures(places)["short"])
    assert np.mean(short) < 3  # 6 where nothing below the median counts


@given(seed=st.integers(0, 1000), n=st.integers(1, 64))
@settings(max_examples=20, deadline=None)
def test_shares_are_of_the_exact_hypervolume(seed: int, n: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    problem = Problem(read(tmp_path_factory.mktemp("table"), columns(seed=seed)), *METRICS)
    places = np.random.default_rng(seed).permutation(64)
    some, all_ = problem.figures(places[:n]), problem.figures(places)
    assert 0 <= some["region"] <= 1
    assert 0 <= some["table"] <= 1
    assert some["short"] >= 0
    assert all_ == pytest.approx({"region": 1, "table": 1, "short": 0, "optimum": 1})


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_exact_hypervolume_is_that_of_counted_cells(seed: int) -> None:
    grid = np.random.default_rng(seed).integers(1, 20, size=(12, 2))
    x, y = np.meshgrid(np.arange(20), np.arange(20))
    cells = ((grid[:, 0, None, None] > x) & (grid[:, 1, None, None] > y)).any(axis=0).sum()
    assert hypervolume(grid.astype(float), np.zeros(2)) == cells
