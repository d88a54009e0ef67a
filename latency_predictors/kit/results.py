"""The results of a kit, which come from another machine and are believed as far as they check out."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latency_predictors.device import STATISTIC, Measurement
from latency_predictors.latencies import measurements
from latency_predictors.on_device.kit import RESULTS_SCHEMA, UNIT
from search_spaces.errors import InputError
from search_spaces.storage import Repeated, each_once

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KitResults:
    """What a device measured of a kit.

    Attributes:
        machine: the fingerprint of the device.
        passes: measurements by model, of the passes that are done, in order.
    """

    machine: Mapping[str, str]
    passes: list[dict[str, Measurement]]


def read_results(records: Sequence[Mapping[str, Any]], kit: Mapping[str, Any], origin: str) -> KitResults:
    """Return what the records of a results file say of a kit.

    Args:
        records: of the file, as `read_records` returns them.
        kit: the kit, as `kit.json` says it.
        origin: where the results come from, for errors.

    Raises:
        InputError: the results are of another kit, in another unit or statistic, lack or repeat a model or a pass, or
            hold a latency that is none.
    """
    header, *records = records
    for name, expected in (("schema", RESULTS_SCHEMA), ("kit", kit["id"]), ("statistic", STATISTIC)):
        if header.get(name) != expected:
            raise InputError(f"{origin}: {name} {header.get(name)!r}, expected {expected!r}: these are other results")
    machine = header.get("machine")
    if not isinstance(machine, dict) or not all(isinstance(value, str) for value in machine.values()):
        raise InputError(f"{origin}: machine {machine!r}, expected a description of the device")
    asked = kit["passes"]
    if len(records) > len(asked):
        raise InputError(f"{origin}: {len(records)} passes, but the kit has {len(asked)}: keep each pass once")
    passes = [
        _pass(record, number, asked[number]["models"], f"{origin}, pass {number + 1}")
        for number, record in enumerate(records)
    ]
    return KitResults(machine, passes)


def read_records(content: bytes, origin: str) -> list[dict[str, Any]]:
    """Return the records of a results file, at least the first, which names the kit; a last one cut short is left out.

    Args:
        content: of the file.
        origin: where the results come from, for errors.

    Raises:
        InputError: there is none, or a line that is none stands before others.
    """
    records = []
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line, object_pairs_hook=each_once)
        except (json.JSONDecodeError, UnicodeDecodeError):
            record = None
        except Repeated as error:
            raise InputError(f"{origin}, line {number}: {error}") from None
        if isinstance(record, dict) and line.endswith(b"\n"):
            records.append(record)
        elif number == len(lines):
            logger.warning("%s: line %d was cut short, and is left out", origin, number)
        else:
            raise InputError(f"{origin}, line {number}: no record, but others follow: fetch the file again")
    if not records:
        raise InputError(f"{origin} holds no results: run measure.pyz on the device, and fetch what it writes")
    return records


def _pass(record: Mapping[str, Any], number: int, asked: Mapping[str, Any], origin: str) -> dict[str, Measurement]:
    """Return the measurements of a pass; `origin` counts it from 1, as `measure.pyz` does."""
    if record.get("pass") != number:
        told = f'"pass": {record.get("pass")!r}, expected {number}, as the file counts from 0'
        raise InputError(f"{origin}: {told}: keep each pass once, in order")
    if record.get("unit") != UNIT:
        raise InputError(f"{origin}: unit {record.get('unit')!r}, expected {UNIT!r}: convert the latencies")
    found = record.get("measurements")
    if not isinstance(found, dict):
        raise InputError(f"{origin}: measurements {found!r}, expected one a model")
    for name in [*asked, *found]:
        if name not in found or name not in asked:
            lacks = "lacks" if name not in found else "has, but the kit has not,"
            raise InputError(f"{origin} {lacks} model {name}: measure the kit again")
    return measurements(found, f"{origin}, model")
