"""Measured networks are read from every kind of file alike, and what cannot be is told by row and column."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import search_spaces
from latency_predictors.learned.measured_networks import read_measured_networks
from latency_predictors.table.rows import LatencyColumn
from search_spaces import InputError

SPACE = search_spaces.load("mobilenet_v3_32", resolutions=(16, 24))
POPULATION = SPACE.sample(12, np.random.default_rng(0))
LATENCIES = np.linspace(0.5, 2, 12)


def rows() -> list[dict[str, Any]]:
    networks = SPACE.decode(POPULATION)
    return [{**dict(one), "latency_ms": ms} for one, ms in zip(networks, LATENCIES.tolist(), strict=True)]


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], object]] = {
    "csv": lambda path, given: pyarrow.csv.write_csv(pa.Table.from_pylist(given), path),
    "parquet": lambda path, given: pyarrow.parquet.write_table(pa.Table.from_pylist(given), path),
    "json": lambda path, given: path.write_text(json.dumps(given)),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_says_the_same(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"board.{kind}"
    WRITERS[kind](path, rows())
    found = read_measured_networks(path, SPACE)
    assert found.name == "board"
    assert np.array_equal(found.population, POPULATION)
    np.testing.assert_allclose(found.latencies_ms, LATENCIES)


def test_units_are_converted_and_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    path.write_text(json.dumps([{**row, "pixel": 1000 * row["latency_ms"]} for row in rows()]))
    found = read_measured_networks(path, SPACE, LatencyColumn("pixel", "us"))
    np.testing.assert_allclose(found.latencies_ms, LATENCIES)
    with pytest.raises(InputError, match=r"column pixel of .* does not say its unit: give --latency\.unit us, ms or s"):
        read_measured_networks(path, SPACE, LatencyColumn("pixel"))
    with pytest.raises(InputError, match="column latency_ms says ms, not unit us: leave out the unit"):
        read_measured_networks(path, SPACE, LatencyColumn("latency_ms", "us"))
    found = read_measured_networks(path, SPACE, LatencyColumn("latency_ms", "ms"))
    np.testing.assert_allclose(found.latencies_ms, LATENCIES)


def change(column: str, value: Any) -> list[dict[str, Any]]:
    changed = rows()
    changed[3][column] = value
    return changed


FIRST = SPACE.choices[0].name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (change("latency_ms", -1.0), r"row 4: latency_ms is -1\.0, expected a positive number"),
        (change("latency_ms", None), "row 4: latency_ms is empty, expected a positive number"),
        (change("latency_ms", 1e299), r"row 4: latency_ms is 1e\+299, expected a latency from a picosecond to an hour"),
        (change("latency_ms", 1e-10), "row 4: latency_ms is 1e-10, expected a latency from a picosecond"),
        (change(FIRST, 1000), f"row 4: {FIRST} is 1000, expected one of"),
        (change(FIRST, [1]), r"board\.json: cannot mix list"),
        ([{"latency_ms": 1.0}], rf"board\.json has no column {FIRST}, .* and \d+ more, .*: it has latency_ms$"),
        ([], "expected a list of objects"),
        ({}, "expected a list of objects"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(given: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    path.write_text(json.dumps(given))
    with pytest.raises(InputError, match=message) as error:
        read_measured_networks(path, SPACE)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("kind", WRITERS)
def test_a_column_that_stands_twice_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"board.{kind}"
    again = pa.Table.from_pylist(rows()).append_column(FIRST, pa.array([0] * 12))
    if kind == "json":
        path.write_text(json.dumps(rows()).replace('"latency_ms"', f'"{FIRST}": 0, "latency_ms"'))
    else:
        {"csv": pyarrow.csv.write_csv, "parquet": pyarrow.parquet.write_table}[kind](again, path)
    with pytest.raises(InputError, match=f"{path}: {FIRST} stands there twice: keep it once"):
        read_measured_networks(path, SPACE)


def test_a_latency_that_only_later_objects_have_is_missed_where_it_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    first, *others = rows()
    del first["latency_ms"]
    path.write_text(json.dumps([first, *others]))
    with pytest.raises(InputError, match=r"board\.json, row 1: latency_ms is empty"):
        read_measured_networks(path, SPACE)


@pytest.mark.parametrize("name", ["absent.csv", "board.txt", "damaged.parquet"])
def test_files_that_are_none_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "damaged.parquet").write_text("no table")
    with pytest.raises(InputError, match=name) as error:
        read_measured_networks(tmp_path / name, SPACE)
    assert len(str(error.value).splitlines()) == 1


def test_rows_of_csv_are_found_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    pyarrow.csv.write_csv(pa.Table.from_pylist(change("latency_ms", -1.0)), path)
    with pytest.raises(InputError, match=r"board\.csv, line 5: latency_ms is -1"):  # the header is line 1
        read_measured_networks(path, SPACE)
    path.write_text(path.read_text().replace("-1\n", "n/a\n"))
    with pytest.raises(InputError, match=r"board\.csv, line 5: latency_ms is 'n/a', expected a positive number"):
        read_measured_networks(path, SPACE)
    path.write_text(path.read_text().replace("n/a\n", "-1\n").replace("\n", "\n\n", 1))
    with pytest.raises(InputError, match=r"board\.csv, line 6: latency_ms is -1"):
        read_measured_networks(path, SPACE)


def test_a_network_that_stands_twice_is_refused_and_one_of_two_names_is_taken_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "board.csv"
    smallest = dict(SPACE.smallest())
    largest = dict(SPACE.largest())
    same = {**smallest, "kernel_1_3": largest["kernel_1_3"]}  # of a block that there is not
    again = [{**one, "latency_ms": ms} for one, ms in ((largest, 3.0), (smallest, 1.0), (same, 1.5))]
    pyarrow.csv.write_csv(pa.Table.from_pylist(again), path)
    assert read_measured_networks(path, SPACE).latencies_ms.tolist() == [3.0, 1.25]
    assert "board.csv: its 3 rows are 2 networks, of each the mean is taken" in caplog.text
    pyarrow.csv.write_csv(pa.Table.from_pylist([*again[:2], again[0]]), path)
    with pytest.raises(InputError, match=r"board\.csv, line 4: the same network as .*board\.csv, line 2: keep one"):
        read_measured_networks(path, SPACE)
    pyarrow.csv.write_csv(pa.Table.from_pylist(again[:2]), path)
    with pytest.raises(InputError, match=r"board\.csv: 2 measured networks: expected at least 3"):
        read_measured_networks(path, SPACE, fewest=3)


def test_networks_whose_dead_edges_were_measured_are_not_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    space = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8)
    live = dict(space.smallest())
    dead = {**live, "edge_0_1": "nor_conv_3x3"}  # which no edge reads
    path = tmp_path / "board.json"
    path.write_text(json.dumps([{**live, "latency_ms": 1.0}, {**dead, "latency_ms": 1.7}]))
    found = read_measured_networks(path, space)
    assert space.decode(found.population) == [live, dead]
    assert found.latencies_ms.tolist() == [1.0, 1.7]
    assert not caplog.text


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_another_separator_than_commas_is_named(separator: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows()), path)
    path.write_text(path.read_text().replace(",", separator).replace(".", ","))
    with pytest.raises(InputError, match=rf"board\.csv: columns are separated by {name}: separate them by commas"):
        read_measured_networks(path, SPACE)


def test_blanks_round_names_of_columns_mean_nothing_and_utf_16_is_told(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows()), path)
    header, rest = path.read_text().replace('"', "").split("\n", 1)
    path.write_text(header.replace(",", " , ") + "\n" + rest)
    np.testing.assert_allclose(read_measured_networks(path, SPACE).latencies_ms, LATENCIES)
    path.write_text(header + "\n" + rest, encoding="utf-16")
    with pytest.raises(InputError, match=r"latencies .*board\.csv: is encoded as UTF-16: save it as UTF-8$"):
        read_measured_networks(path, SPACE)
