"""What a number must be to be a latency: whoever reads one from a file asks here."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from latency_predictors.device import Measurement
from search_spaces.errors import InputError, invalid

_MEASUREMENT = TypeAdapter(Measurement)

_PICOSECOND_MS, _HOUR_MS = 1e-9, 3.6e6


def positive(value: object, what: str, factor: float = 1.0) -> float:
    """Return a latency in ms, which is a number from a picosecond to an hour.

    Args:
        value: as it was read.
        what: it is, for the error, such as "board.csv, row 3: latency_ms is".
        factor: how many ms its unit is.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise InputError(f"{what} {as_it_stands(value)}, expected a positive number")
    if not _PICOSECOND_MS <= factor * value <= _HOUR_MS:
        raise InputError(f"{what} {value!r}, expected a latency from a picosecond to an hour: mind its unit")
    return factor * value


def as_it_stands(value: object) -> str:
    """Return a value that a file holds as a person sees it there, for errors."""
    return "empty" if value is None or value == "" else repr(value)


def measurement(entry: object, origin: str) -> Measurement:
    """Return the measurement that plain values of a file say.

    Args:
        entry: the fields by name.
        origin: where it stands, for errors.

    Raises:
        InputError: these are no fields, one is missing, of another type or out of range, a latency is none, or the
            fastest run took longer than the 10 % quantile, or that than the median.
    """
    if not isinstance(entry, dict):
        raise InputError(f"{origin}: {entry!r}, expected the fields of a measurement by name")
    try:
        found = _MEASUREMENT.validate_python(entry)
    except ValidationError as error:
        raise invalid(origin, error) from None
    names = ("minimum_ms", "quantile_ms", "median_ms")
    latencies_ms = [positive(getattr(found, name), f"{origin}: {name}") for name in names]
    if latencies_ms != sorted(latencies_ms):
        told = ", ".join(f"{name} {value:g}" for name, value in zip(names, latencies_ms, strict=True))
        raise InputError(f"{origin}: {told}: expected none below the one before it")
    return found


def measurements(record: Mapping[str, object], origin: str) -> dict[str, Measurement]:
    """Return what `entries` wrote, by name.

    Args:
        record: the fields of each measurement by its name.
        origin: where it stands, for errors.

    Raises:
        InputError: one is none; see `measurement`.
    """
    return {name: measurement(entry, f"{origin} {name}") for name, entry in record.items()}


def entries(found: Mapping[str, Measurement]) -> dict[str, Any]:
    """Return measurements by name as plain values for a file."""
    return {name: asdict(one) for name, one in found.items()}


def require_stated(document: Mapping[str, Any], expected: Mapping[str, str], origin: str) -> None:
    """Raise unless a file says of its latencies what is expected, such as their unit.

    Raises:
        InputError: names the first entry that differs.
    """
    for name, value in expected.items():
        if document.get(name) != value:
            raise InputError(f"{origin}: {name} {document.get(name)!r}, expected {value!r}: make it again")
