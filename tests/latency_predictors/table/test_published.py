"""Published latencies are read in the unit that is stated, and refused where they are of another space."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import yaml

import search_spaces
from latency_predictors.table import published
from latency_predictors.table.published import read_architecture_latencies, read_block_latencies
from search_spaces import InputError, SearchSpace

FBNET = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
"""What HW-NAS-Bench's numbers stand for."""


@pytest.fixture(scope="module")
def ofa() -> SearchSpace:
    return search_spaces.load("ofa_mobilenet_v3", resolutions=(224,))


def write_table(space: SearchSpace, path: Path) -> dict[str, dict[str, float]]:
    """Write a whole table of a space, each entry 1 longer than the one before."""
    names = dict.fromkeys(alike[-1] for block in space.index.blocks for alike in published._entries(block))
    entries = {name: {"count": 10, "mean": float(i), "var": 0.1} for i, name in enumerate(names, 1)}
    path.write_text(yaml.safe_dump(entries))
    return entries


def test_the_entries_of_a_published_network_add_up(tmp_path: Path, ofa: SearchSpace) -> None:
    small = search_spaces.load("ofa_mobilenet_v3", resolutions=(224,), width=0.25)
    path = tmp_path / "table.yaml"
    entries = write_table(small, path)
    assert "Conv-input:224x224x3-output:112x112x8" in entries
    assert "expanded_conv-input:112x112x8-output:112x112x8-expand:1-kernel:3-stride:1-idskip:1" in entries
    smallest = small.encode([small.smallest()])
    blocks = dict.fromkeys(small.plan(small.smallest()).values())
    expected = sum(entries[alike[-1]]["mean"] for block in blocks for alike in published._entries(block))
    assert len(blocks) == len(small.plan(small.smallest())), "each once, so their sum is the network's"
    in_ms, in_us = (read_block_latencies(path, small, unit).cost_model(small) for unit in ("ms", "us"))
    assert in_ms.predict(smallest)[0] == pytest.approx(expected)
    assert in_ms.predict(smallest)[0] == pytest.approx(1000 * in_us.predict(smallest)[0])
    assert in_ms.cheapest()[0] <= in_ms.predict(smallest)[0] <= in_ms.dearest()[0]
    with pytest.raises(InputError, match=r"lacks Conv-input:224x224x3-output:112x112x16: it is of another space"):
        read_block_latencies(path, ofa, "ms")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected entries"),
        ("a: 1", "expected entries"),
        ("a: [", "while parsing"),
        ("Conv-input:224x224x3-output:112x112x16: {mean: -1}", "has mean -1, expected a positive"),
        ("Conv-input:224x224x3-output:112x112x16: {mean: .nan}", "has mean nan, expected a positive"),
    ],
)
def test_other_files_are_refused(content: str, message: str, ofa: SearchSpace, tmp_path: Path) -> None:
    (tmp_path / "table.yaml").write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_block_latencies(tmp_path / "table.yaml", ofa, "ms")
    assert len(str(error.value).splitlines()) == 1


def rows(**changes: Any) -> pa.Table:
    columns = {f"op_{i}": [8, 3, 0] for i in range(22)} | {"index": [0, 1, 2]}
    return pa.table(columns | changes)


def test_architectures_are_read_by_what_their_numbers_stand_for(tmp_path: Path) -> None:
    space = search_spaces.load("fbnet")
    pyarrow.parquet.write_table(rows(), tmp_path / "choices.parquet")
    pyarrow.csv.write_csv(pa.table({"index": [2, 0, 1], "phone": [3.0, 1.0, 2.0]}), tmp_path / "phone.csv")
    files = [tmp_path / "choices.parquet", tmp_path / "phone.csv"]
    names = [f"op_{i}" for i in range(22)]
    population, latencies = read_architecture_latencies(files, space, names, FBNET, "phone", "s")
    found = {next(iter(a.values())): ms for a, ms in zip(space.decode(population), latencies, strict=True)}
    assert found == {"skip": 1000.0, "k3_e6": 2000.0, "k3_e1": 3000.0}
    assert latencies.tolist() == [1000.0, 2000.0, 3000.0], "by their index"
    changed = {
        r"choices\.parquet: index 5 is not in all of": {"index": [5, 2, 0]},
        r"index 1: op_3 is 9, which is no option": {"index": [1, 2, 0], "op_3": [9, 0, 8]},
        r"choices\.parquet: index 1 stands there twice": {"index": [0, 1, 1]},
        r"have no index in common": {"index": [5, 6, 7]},
        r"cannot be joined by index": {"index": ["a", "b", "c"]},
        r"column phone stands in several": {"phone": [1.0, 2.0, 3.0]},
    }
    for message, columns in changed.items():
        pyarrow.parquet.write_table(rows(**columns), files[0])
        with pytest.raises(InputError, match=message) as error:
            read_architecture_latencies(files, space, names, FBNET, "phone", "ms")
        assert len(str(error.value).splitlines()) == 1
    pyarrow.parquet.write_table(rows().drop_columns("index"), files[0])
    with pytest.raises(InputError, match=r"unknown column of .*choices\.parquet 'index'"):
        read_architecture_latencies(files, space, names, FBNET, "phone", "ms")
    pyarrow.parquet.write_table(rows(), files[0])
    with pytest.raises(InputError, match=r"unknown column of .* 'tablet'"):
        read_architecture_latencies(files, space, names, FBNET, "tablet", "ms")
    with pytest.raises(InputError, match="unknown unit of latency 'minutes'"):
        read_architecture_latencies(files, space, names, FBNET, "phone", "minutes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"op_3": [8, 9, 0]}, r"row 2: op_3 is 9, which is no option of fbnet"),
        ({"phone": [1.0, 2.0, 0.0]}, r"row 3: phone is 0\.0, expected a positive"),
        ({"phone": [1.0, float("nan"), 2.0]}, r"row 2: phone is nan, expected a positive"),
    ],
)
def test_rows_of_another_space_or_without_latency_are_named(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    space = search_spaces.load("fbnet")
    pyarrow.parquet.write_table(rows(**{"phone": [1.0, 2.0, 3.0]} | changes), tmp_path / "table.parquet")
    with pytest.raises(InputError, match=message):
        read_architecture_latencies(
            [tmp_path / "table.parquet"], space, [f"op_{i}" for i in range(22)], FBNET, "phone", "ms"
        )
