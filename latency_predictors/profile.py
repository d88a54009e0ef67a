"""Making the latency table of a space: measured on a device at hand, killed and resumed, or elsewhere with a kit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

import search_spaces
from latency_predictors.device import Device
from latency_predictors.fingerprint import decisive, fingerprint
from latency_predictors.kit.folder import SCRIPT, write_kit
from latency_predictors.kit.kit import Kit, Pass, ProfileOptions
from latency_predictors.kit.results import read_records, read_results
from latency_predictors.latencies import entries, measurements
from latency_predictors.measuring import measure
from latency_predictors.on_device.kit import KIT, KIT_SCHEMA, kits_in
from latency_predictors.repeats import measure_repeats
from latency_predictors.table.latency_table import TABLE, LatencyTable
from search_spaces import SearchSpace
from search_spaces.errors import InputError, invalid
from search_spaces.storage import Journal, read_json, require_same

__all__ = ["ProfileOptions", "make_kit", "profile", "table_of_results"]

_JOURNAL = "measurements.jsonl"

_KIT = ("id", "space", "device", "options", "passes")
"""What the file of a kit says."""


def profile(
    space: SearchSpace, device: Device, directory: Path, options: ProfileOptions, *, progress: bool = True
) -> LatencyTable:
    """Measure every block of a space and some whole networks, or go on where an earlier call was stopped.

    Writes `measurements.jsonl` as it goes and `table.json` at the end.

    Raises:
        InputError: the directory holds the profile of another space or device, or one with other options; or the device
            cannot do what is asked, or does not answer.
    """
    kit, machine = Kit(space, device, options, progress=progress), fingerprint(device)
    with Journal(directory / _JOURNAL) as journal:
        passes = _recorded_passes(journal, kit, machine, directory)
        if len(passes) < options.noise_repeats:
            repeats = measure_repeats(kit, machine)[len(passes) :]
            journal.append(map(entries, repeats))
            passes += repeats
        while len(passes) < kit.n_passes:
            models = kit.models(len(passes))
            found = measure(device, models, options=options.measure, machine=machine, resume=True, progress=progress)
            passes.append(found)
            journal.append([entries(passes[-1])])
    table = kit.table(passes, machine)
    table.save(directory / TABLE)
    return table


def make_kit(space: SearchSpace, device: Device, path: Path, options: ProfileOptions, *, progress: bool = True) -> str:
    """Write all that `profile` measures to a folder, to be measured where that is copied to; return the kit's id.

    The kit is `kit.json` in its folder, or another name beside it, which is measured after it.

    Raises:
        InputError: the device's runtime cannot be taken elsewhere.
    """
    device.require_portable()
    kit = Kit(space, device, options, progress=progress)
    parts = ((kit.models(number), kit.measure_options(number)) for number in range(kit.n_passes))
    return write_kit(path, device, parts, kit.describe())


def table_of_results(folder: Path, results: Path) -> tuple[LatencyTable, Path]:
    """Return the table that `profile` would make of what was measured of a kit, and the directory where it is saved.

    That is the kits' folder, or one of the kit's name below it for others than `kit.json`.

    Raises:
        InputError: the folder holds no kit, or a table of other results of it; or the results are not of it, not whole,
            or not to be believed.
    """
    kits = {path: read_json(path, KIT_SCHEMA, _KIT) for path in kits_in(folder)}
    try:
        content = results.read_bytes()
    except OSError as error:
        raise InputError(f"results {results}: {error.strerror}") from None
    records = read_records(content, str(results))
    path = next((path for path, described in kits.items() if described["id"] == records[0].get("kit")), folder / KIT)
    described = kits[path]
    found = read_results(records, described, str(results))
    try:
        options = TypeAdapter(ProfileOptions).validate_python(described["options"])
    except ValidationError as error:
        raise InputError(f"{path}: {invalid('profile option', error)}: write the kit again") from None
    kit = Kit(search_spaces.from_json(described["space"]), Device.from_json(described["device"]), options)
    kit.require_same_models(described, str(path))
    if len(found.passes) < kit.n_passes:
        raise InputError(
            f"{results} holds {len(found.passes)} of {kit.n_passes} passes: run {SCRIPT} on the device again, which "
            "goes on after them, and import what it then holds"
        )
    kit.require_possible(found.passes, str(results))
    table = kit.table(found.passes, found.machine)
    directory = folder if path.name == KIT else path.with_suffix("")
    _require_same_table(directory / TABLE, table)
    table.save(directory / TABLE)
    return table, directory


def _require_same_table(path: Path, table: LatencyTable) -> None:
    """Raise where another table lies, as of another device that the same kit was carried to."""
    if not path.exists():
        return
    try:
        there = LatencyTable.load(path)
    except InputError:  # of another version, or edited: whatever it is, it is not lost
        there = None
    if there != table:
        raise InputError(
            f"{path} was made of other results: rename or move it, which --table does not mind, and import these again"
        )


def _identity(header: Mapping[str, Any], device: Device) -> dict[str, Any]:
    """Return of what a journal begins with what a caller asks for, which must be equal for it to be gone on with."""
    placeless = {name: value for name, value in header["device"].items() if name != "host"}
    asked = {name: header[name] for name in ("space", "options")}
    return {**asked, "device": placeless, "machine": decisive(header["machine"], device)}


def _recorded_passes(journal: Journal, kit: Kit, machine: Mapping[str, str], directory: Path) -> list[Pass]:
    """Return the passes that the journal holds, or begin one.

    A device may come back at another address, or with another kernel.

    Raises:
        InputError: the journal is of another profile, or no such journal any more.
    """
    what = {**kit.describe(), "machine": machine}
    if not journal.recovered:
        journal.append([what])
        return []
    header, *records = journal.recovered
    path, origin = directory / _JOURNAL, f"the profile in {directory}"
    for name in ("space", "device", "options", "machine"):
        if not isinstance(header.get(name), dict):
            raise InputError(f"{path}: {name} {header.get(name)!r}, expected its entries: begin in another directory")
    require_same(origin, *(_identity(described, kit.device) for described in (header, what)))
    kit.require_same_models(header, origin)
    passes: list[Pass] = [
        measurements(record, f"{path}, pass {number}, model") for number, record in enumerate(records, 1)
    ]
    kit.require_possible(passes, str(path))
    return passes
