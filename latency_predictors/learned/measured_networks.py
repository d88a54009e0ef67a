"""Measured networks, as models are fitted to them: rows of a file, or the whole networks of a latency table."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latency_predictors.device import Device
from latency_predictors.latencies import as_it_stands
from latency_predictors.learned.features import Features
from latency_predictors.learned.predicted_cost import require_measurements
from latency_predictors.table.latency_table import LatencyTable
from latency_predictors.table.rows import LatencyColumn, read_latencies, read_rows, row_places
from search_spaces import Choice, SearchSpace
from search_spaces.errors import InputError
from search_spaces.plan_index import Population
from search_spaces.storage import read_json, write_json

_TIMES = 100
_MOST = 4
"""Latencies so many times above or below all that is expected are slips, if one in so many is at most: of more of them,
the device is like that. In HW-NAS-Bench, whose phones measure some networks badly, none is 8 times above."""

_LITTLE = 0.2
"""Of the median network: what does less may be as fast as it likes, for some devices leave such networks out."""

_DEVICE_SCHEMA = "measured-device/1"

_NAMED = 6
"""Columns that a file lacks, in an error."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasuredNetworks:
    """Networks of a space and their latencies on one device.

    Attributes:
        name: of the device.
        population: the networks, (n, choices).
        latencies_ms: (n,).
        device: where they were measured, if the file says so.
        fingerprint: of that device's machine, if the file says so.
        places: where each network stands, for errors, (n,); empty if only its number says.
    """

    name: str
    population: Population
    latencies_ms: NDArray[np.float64]
    device: Device | None = None
    fingerprint: Mapping[str, str] | None = None
    places: Sequence[str] = ()


def of_table(table: LatencyTable, name: str) -> MeasuredNetworks:
    """Return the whole networks that a latency table was calibrated and tested on."""
    networks = [*table.calibration_networks, *table.held_out_networks]
    population = table.space.encode([network.architecture for network in networks])
    latencies_ms = np.array([one.latency_ms for one in networks])
    return MeasuredNetworks(name, population, latencies_ms, table.device, table.fingerprint)


def read_measured_networks(
    path: Path, space: SearchSpace, column: LatencyColumn | None = None, fewest: int = 1
) -> MeasuredNetworks:
    """Return what a file says: one row a network, one column a choice with the option taken, and the latency's.

    What they were measured on is said by a file beside it, if `write_device` wrote one.

    Args:
        path: Parquet, CSV, or JSON with a list of objects.
        space: whose choices the columns are.
        column: of the latencies.
        fewest: how many networks there must be.

    Raises:
        InputError: a column is missing, its unit is not said, an option is not the space's, or networks and latencies
            cannot be learned from; see `require_measurements`.
    """
    rows = read_rows(path)
    if missing := [choice.name for choice in space.choices if choice.name not in rows.column_names]:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(
            f"{path} has no column {', '.join(missing[:_NAMED])}{more}, expected one for each choice of {space.name}: "
            f"it has {', '.join(rows.column_names)}"
        )
    latency, factor = (column or LatencyColumn()).find(path, rows.column_names)
    places = row_places(path, rows.num_rows)
    numbers = [_numbers(places, choice, rows[choice.name].to_pylist()) for choice in space.choices]
    population, latencies_ms = np.array(numbers).T, read_latencies(rows, latency, factor, places)
    if len(population) and len(np.unique(population, axis=0)) == len(population):  # else a row is refused below
        first, latencies_ms = _each_network_once(space.independent.canonical(population), latencies_ms)
        population, places = population[first], [places[row] for row in first]
        if len(first) < rows.num_rows:
            logger.warning(
                "%s: its %d rows are %d networks, of each the mean is taken", path, rows.num_rows, len(first)
            )
    require_measurements(space, population, latencies_ms, fewest, str(path), places)
    device, fingerprint = _read_device(device_file(path))
    return MeasuredNetworks(path.stem, population, latencies_ms, device, fingerprint, places)


def device_file(path: Path) -> Path:
    """Return where it is said what the networks of a file were measured on."""
    return path.with_suffix(".device.json")


def write_device(path: Path, device: Device, fingerprint: Mapping[str, str]) -> None:
    """Say beside a file of networks which device they were measured on, and of its machine the fingerprint."""
    write_json(device_file(path), _DEVICE_SCHEMA, {"device": device.to_json(), "fingerprint": dict(fingerprint)})


def _read_device(path: Path) -> tuple[Device, Mapping[str, str]] | tuple[None, None]:
    if not path.exists():
        return None, None
    document = read_json(path, _DEVICE_SCHEMA, ("device", "fingerprint"))
    for name in ("device", "fingerprint"):
        if not isinstance(document[name], dict):
            raise InputError(f"{path}: {name} {document[name]!r}, expected its entries: measure the networks again")
    return Device.from_json(document["device"]), document["fingerprint"]


def require_likely(features: Features, measured: MeasuredNetworks) -> None:
    """Raise if a latency is of another order of magnitude than the others let expect of any device.

    That is what each network would take beside the median one if launches, computing, memory or something that is
    the same for all alone bounded the device. Slips of the unit or of the decimal point in some rows are told by it.

    Raises:
        InputError: names the network.
    """
    shares = [np.ones(len(measured.population))]
    for form in features.forms:
        rows = features(measured.population, form)
        counts = [rows @ bound for bound in features.bounds().values()]
        shares += [count / np.median(count) for count in counts if np.median(count) > 0]
    median_ms = np.median(measured.latencies_ms)
    least, most = np.min(shares, axis=0), np.max(shares, axis=0)
    fast = (measured.latencies_ms * _TIMES < least * median_ms) & (least > _LITTLE)
    slow = measured.latencies_ms > most * median_ms * _TIMES
    found = np.flatnonzero(fast | slow)
    if not 1 <= len(found) <= max(1, len(fast) // _MOST):
        return
    row = found[0]
    place = measured.places[row] if len(measured.places) else f"{measured.name}: measured network {row + 1}"
    raise InputError(
        f"{place}: {measured.latencies_ms[row]:.3g} ms is more than {_TIMES} times {'above' if slow[row] else 'below'} "
        f"what the others let expect, {least[row] * median_ms:.3g} to {most[row] * median_ms:.3g} ms: mind its unit, "
        "measure it again, or leave it out"
    )


def _each_network_once(
    canonical: Population, latencies_ms: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows of networks that no row before is of, ascending, and the mean latency of each over its rows.

    Rows are of one network where they name the same blocks, computed in vain or not. Benchmarks such as NAS-Bench-201
    build and measure what cannot change the output, too: with other dead edges it is another network to a device.
    """
    _, first, of, counts = np.unique(canonical, axis=0, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    return first[order], (np.bincount(of.ravel(), latencies_ms) / counts)[order]


def _numbers(places: Sequence[str], choice: Choice, values: Sequence[object]) -> list[int]:
    """Return the numbers of the options that a column holds, in rows of these places: as they are, or as text."""
    known: dict[object, int] = {str(option): number for number, option in enumerate(choice.options)}
    known |= {option: number for number, option in enumerate(choice.options)}
    numbers = []
    for place, value in zip(places, values, strict=True):
        written = value if isinstance(value, int | float | str) else None
        number = known.get(written, known.get(str(written)))  # a column of digits is read as numbers
        if number is None:
            options = ", ".join(map(str, choice.options))
            raise InputError(f"{place}: {choice.name} is {as_it_stands(value)}, expected one of {options}")
        numbers.append(number)
    return numbers
