"""What a number must be to be a latency: whoever reads one from a file asks here."""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from latency_predictors.device import Measurement
from search_spaces.errors import InputError, invalid

_MEASUREMENT = TypeAdapter(Measurement)


def positive(value: object, what: str) -> float:
    """Return a latency as a number, which is finite and above zero.

    Args:
        value: as it was read.
        what: it is, for the error, such as "board.csv, row 3: latency_ms is".

    Raises:
        InputError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise InputError(f"{what} {value!r}, expected a positive number")
    return float(value)


def measurement(entry: object, origin: str) -> Measurement:
    """Return the measurement that plain values of a file say.

    Args:
        entry: the fields by name.
        origin: where it stands, for errors.

    Raises:
        InputError: a field is missing or of another type, or a latency is none.
    """
    try:
        found = _MEASUREMENT.validate_python(entry)
    except ValidationError as error:
        raise invalid(origin, error) from None
    for name in ("minimum_ms", "quantile_ms", "median_ms"):
        positive(getattr(found, name), f"{origin}: {name}")
    return found


def require_stated(document: Mapping[str, Any], expected: Mapping[str, str], origin: str) -> None:
    """Raise unless a file says of its latencies what is expected, such as their unit.

    Raises:
        InputError: names the first entry that differs.
    """
    for name, value in expected.items():
        if document.get(name) != value:
            raise InputError(f"{origin}: {name} {document.get(name)!r}, expected {value!r}: make it again")
