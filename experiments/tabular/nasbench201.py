"""NAS-Bench-201 (Dong and Yang, ICLR 2020) with measured latencies (HW-NAS-Bench, HELP), from two Parquet files."""

from dataclasses import replace
from pathlib import Path

from experiments.tabular.table import Benchmark
from search_spaces.errors import InputError
from search_spaces.spaces import nasbench201

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the table."""

CELL = replace(nasbench201.CELL, layers=(OPERATIONS.index("nor_conv_1x1"), OPERATIONS.index("nor_conv_3x3")))

RESULTS, LATENCIES = FILES = ("nasbench201.parquet", "nasbench201_latency.parquet")


def nasbench201_of(*files: Path) -> Benchmark:
    """Return the benchmark that some of the files are of, the one with the operations first."""
    choices = tuple(f"op_{source}_{target}" for source, target in CELL.edges)
    return Benchmark(files, choices, categories=choices, names=OPERATIONS, cell=CELL)


def nasbench201_in(folder: Path) -> Benchmark:
    """Return the benchmark whose files a folder holds, joined by their column `index`.

    Raises:
        InputError: the folder lacks one.
    """
    for file in FILES:
        if not (folder / file).is_file():
            raise InputError(f"{folder / file} does not exist: expected a folder with {' and '.join(FILES)}")
    return nasbench201_of(*(folder / file for file in FILES))


def accuracies_in(folder: Path) -> list[str]:
    """Return the columns of test accuracies after 200 epochs, one a data set."""
    return [name for name in nasbench201_in(folder).columns() if name.endswith("_test_e200")]


def latencies_in(folder: Path) -> list[str]:
    """Return the columns of latencies, one a device."""
    return nasbench201_of(folder / LATENCIES).columns()
