"""NAS-Bench-201 (Dong and Yang, ICLR 2020) with measured latencies (HW-NAS-Bench, HELP), from two Parquet files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from experiments.tabular.table import Table, read_table
from search_spaces.spaces import nasbench201

CELL = replace(nasbench201.CELL, layers=(2, 3))
"""The operations in the order of the table: none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3."""

LATENCIES = "nasbench201_latency.parquet"

ACCURACIES = ("c10_test_e200", "c100_test_e200")


def read_nasbench201(folder: Path, accuracies: Sequence[str], latencies: Sequence[str]) -> Table:
    """Read `nasbench201.parquet` and `nasbench201_latency.parquet`, joined by their column `index`."""
    choices = [f"op_{source}_{target}" for source, target in CELL.edges]
    files = [folder / "nasbench201.parquet", folder / LATENCIES]
    return read_table(files, choices, [*accuracies, *latencies], cell=CELL)


def read_latencies(folder: Path) -> list[str]:
    """Return the names of the columns of latencies."""
    return [name for name in pq.read_schema(folder / LATENCIES).names if name != "index"]
