"""NAS-Bench-201 (Dong and Yang, ICLR 2020) with measured latencies (HW-NAS-Bench, HELP), from two Parquet files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from experiments.tabular.table import Table, read_table
from search_spaces.errors import InputError
from search_spaces.spaces import nasbench201

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the table."""

CELL = replace(nasbench201.CELL, layers=(OPERATIONS.index("nor_conv_1x1"), OPERATIONS.index("nor_conv_3x3")))

RESULTS, LATENCIES = FILES = ("nasbench201.parquet", "nasbench201_latency.parquet")


def read_nasbench201(folder: Path, accuracies: Sequence[str], latencies: Sequence[str]) -> Table:
    """Read the files of a folder, joined by their column `index`."""
    choices = [f"op_{source}_{target}" for source, target in CELL.edges]
    files = [folder / file for file in FILES]
    return read_table(files, choices, [*accuracies, *latencies], cell=CELL)


def accuracies_in(folder: Path) -> list[str]:
    """Return the columns of test accuracies after 200 epochs, one a data set."""
    return [name for name in _columns(folder / RESULTS) if name.endswith("_test_e200")]


def latencies_in(folder: Path) -> list[str]:
    """Return the columns of latencies, one a device."""
    return [name for name in _columns(folder / LATENCIES) if name != "index"]


def _columns(file: Path) -> list[str]:
    if not file.is_file():
        raise InputError(f"{file} does not exist: expected a folder with {' and '.join(FILES)}")
    return list(pq.read_schema(file).names)
