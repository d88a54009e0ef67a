"""Published latencies of whole networks (HELP, Lee et al., NeurIPS 2021; HW-NAS-Bench, Li et al., ICLR 2021)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import search_spaces
from experiments.published_counts import FBNET_CANDIDATES
from experiments.tabular import nasbench201
from experiments.tabular.table import read_columns
from search_spaces import SearchSpace
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

SOURCES = (
    *("1080ti_1", "1080ti_32", "1080ti_64", "1080ti_256", "silver_4114", "silver_4210r"),
    *("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7"),
)
"""Devices of which the whole pool was measured; a device that the protocol does not name is a target."""

VALIDATION = ("titanx_1", "titanx_32", "titanx_64", "titanx_256", "gold_6240")

FBNET = "fbnet_latency.parquet"

FILES = (*nasbench201.FILES, FBNET)
"""All that is read of a folder."""

_NO_LATENCIES = re.compile(r"index|op_\d+|flops|params")
"""Columns of the published files beside those of devices."""


@dataclass(frozen=True)
class LatencyData:
    """Latencies of one space.

    Attributes:
        space: the space.
        population: its networks (N, choices), in the order of the table.
        latencies_ms: (N,) each, by device.
        pool: places of the networks that may be measured.
        test: places of those that predictions are tested on.
        classes: (N,), equal for networks that compute the same by the same operations: copies of each other.
    """

    space: SearchSpace
    population: Population
    latencies_ms: Mapping[str, Floats]
    pool: NDArray[np.int64]
    test: NDArray[np.int64]
    classes: NDArray[np.int64]

    def devices(self, role: str) -> list[str]:
        """Return the devices that are sources, for validation, or targets."""
        known = {"source": SOURCES, "validation": VALIDATION}
        if role in known:
            return [name for name in self.latencies_ms if name in known[role]]
        return [name for name in self.latencies_ms if name not in (*SOURCES, *VALIDATION)]


def read(folder: Path) -> dict[str, LatencyData]:
    """Return the tables that a folder holds, by space.

    Raises:
        InputError: it holds none, or latencies that are not positive numbers.
    """
    found = {}
    if (folder / nasbench201.LATENCIES).is_file():
        found["nasbench201"] = _read_nasbench201(folder)
    if (folder / FBNET).is_file():
        found["fbnet"] = _read_fbnet(folder / FBNET)
    if not found:
        raise InputError(f"{folder} holds neither {nasbench201.LATENCIES} nor {FBNET}: expected one of them at least")
    return found


def _read_nasbench201(folder: Path) -> LatencyData:
    latencies = read_columns(folder / nasbench201.LATENCIES)
    wanted = read_columns(folder / nasbench201.RESULTS, ["index", "arch", "unique_string"])
    results = {name: column.to_pylist() for name, column in wanted.items()}
    if "index" not in latencies or results["index"] != latencies["index"].to_pylist():
        raise InputError(f"{nasbench201.LATENCIES} and {nasbench201.RESULTS} in {folder} are not about the same rows")
    space = search_spaces.load("nasbench201", dead_edges="keep")
    population = space.encode([space.from_string(text) for text in results["arch"]])  # type: ignore[attr-defined]
    same = list(zip(results["unique_string"], map(tuple, np.sort(population, axis=1).tolist()), strict=True))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(same))}
    classes = np.array([numbers[key] for key in same])
    return LatencyData(space, population, _latencies(latencies), np.arange(900), np.arange(900, 1900), classes)


def _read_fbnet(file: Path) -> LatencyData:
    space = search_spaces.load("fbnet")
    numbers = [space.choices[0].options.index(candidate) for candidate in FBNET_CANDIDATES]
    chosen = read_columns(file, [f"op_{layer}" for layer in range(len(space.choices))])
    population = np.column_stack([np.take(numbers, column.to_numpy()) for column in chosen.values()])
    classes = np.arange(len(population))
    latencies = _latencies(read_columns(file))
    return LatencyData(space, population, latencies, np.arange(4000), np.arange(4000, 5000), classes)


def _latencies(columns: Mapping[str, Any]) -> dict[str, Floats]:
    """Return the columns that are latencies, of whole numbers, too.

    Raises:
        InputError: one holds other than positive numbers.
    """
    found = {name: column.to_numpy() for name, column in columns.items() if not _NO_LATENCIES.fullmatch(name)}
    for name, values in found.items():
        if values.dtype.kind not in "fiu":
            raise InputError(f"column {name} holds no numbers: expected the milliseconds of a device")
        if not (np.isfinite(values) & (values > 0)).all():
            raise InputError(f"column {name} has {values.min()} among its latencies: expected positive milliseconds")
    return {name: values.astype(np.float64) for name, values in found.items()}
