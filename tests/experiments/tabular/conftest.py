"""A table of random results in the form of NAS-Bench-201."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.tabular.nasbench201 import CELL, LATENCIES, RESULTS


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of both files: accuracies that few operations decide, latencies that all add to."""
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    rows = np.array(list(itertools.product(range(5), repeat=len(CELL.edges))))
    accuracy = 60 + rows[:, :2].sum(axis=1) + rng.random(len(rows))
    latency = 1 + (rows * rng.random(rows.shape[1])).sum(axis=1)
    choices = {f"op_{a}_{b}": rows[:, i] for i, (a, b) in enumerate(CELL.edges)}
    index = np.arange(len(rows))
    pq.write_table(pa.table({"index": index, **choices, "c10_test_e200": accuracy}), folder / RESULTS)
    pq.write_table(pa.table({"index": index, "phone": latency}), folder / LATENCIES)
    return folder
