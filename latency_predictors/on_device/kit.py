"""A kit: files of models in a folder, what to measure side by side, and the results that are written beside it.

`NAME.json`, the first of them `kit.json`, says which files belong to which model of which pass; `NAME.results.jsonl`
holds a line on the kit and the machine, and one for each pass that is done. A pass is measured whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from latency_predictors.on_device import lock, machine
from latency_predictors.on_device.runner import LARGEST_DIFFERENCE, Runner, Session, difference
from latency_predictors.on_device.timing import STATISTIC, measure

_SECONDS_BETWEEN_LINES = 10

_DECISIVE = (*machine.DECISIVE, "onnxruntime")
_ID_LENGTH = 16

KIT = "kit.json"
KIT_SCHEMA, RESULTS_SCHEMA, UNIT = "kit/1", "kit-results/1", "ms"


class KitError(ValueError):
    """What cannot be measured, and why, in one line."""


def read_kit(path: Path) -> dict[str, Any]:
    """Return what `NAME.json` says.

    Raises:
        KitError: there is none, or it is none.
    """
    try:
        kit = json.loads(path.read_text())
    except OSError as error:
        raise KitError(f"{path}: {error.strerror}; run this in the folder of a kit") from None
    except ValueError as error:
        raise KitError(f"{path} is damaged ({error}): copy it again") from None
    if not isinstance(kit, dict) or kit.get("schema") != KIT_SCHEMA:
        raise KitError(
            f"{path} does not follow schema {KIT_SCHEMA}: copy the kit again, with the measure.pyz beside it"
        )
    return kit


def kits_in(folder: Path) -> list[Path]:
    """Return the kits of a folder, that of the folder itself first, whether it is there or not."""
    others = [path for path in sorted(folder.glob("*.json")) if path.name != KIT and _is_kit(path)]
    return [folder / KIT, *others]


def _is_kit(path: Path) -> bool:
    try:
        return bool(read_kit(path))
    except KitError:
        return False


def content_id(content: bytes) -> str:
    """Return what stands for a content: files of a kit are named by it."""
    return hashlib.sha256(content).hexdigest()[:_ID_LENGTH]


def missing_files(kit: Mapping[str, Any], folder: Path) -> list[str]:
    """Return the kit's files that are not in the folder whole, as relative paths.

    Each is read: after a power cut, a file may have its size and hold zeros.
    """
    return [name for name in kit["files"] if not _is_whole(folder / name)]


def _is_whole(path: Path) -> bool:
    try:
        return content_id(path.read_bytes()) == path.stem
    except FileNotFoundError:
        return False


def results_path(kit_path: Path) -> Path:
    """Return where the results of a kit are written."""
    return kit_path.with_name(f"{kit_path.stem}.results.jsonl")


def measure_kit(path: Path, say: Callable[[str], object]) -> None:
    """Measure what a kit asks for and its results lack, once no other kit is measured on this machine.

    Raises:
        KitError: a file is missing or does not run, the results are broken or of another kit or machine, or the
            machine has too few cores.
    """
    kit, here = read_kit(path), describe_machine()
    device, passes = kit["device"], kit["passes"]
    if missing := missing_files(kit, path.parent):
        raise KitError(f"{len(missing)} files of the kit are missing or damaged, {missing[0]} first: copy them again")
    if device["threads"] > machine.n_cores():
        raise KitError(
            f"the kit wants {device['threads']} threads, here are {machine.n_cores()} cores: make another kit"
        )
    cores = device.get("cores")  # kits made before cores could be chosen do not say
    if cores is not None and (why := machine.unusable(cores)):
        raise KitError(f"the kit wants cores {', '.join(map(str, cores))}, but {why}; make another kit")
    header = {"schema": RESULTS_SCHEMA, "kit": kit["id"], "statistic": STATISTIC, "machine": here}
    with _claimed(results_path(path), say) as file:
        left = list(enumerate(passes))[_begin(file, header, results_path(path)) :]
        with lock.machine_held(say) if left else nullcontext():
            for number, asked in left:
                names = list(asked["models"])
                tell = _Progress(f"pass {number + 1} of {len(passes)}, {len(names)} models", say)
                load = _loader(kit, asked, path.parent)
                found = measure(names, load, asked["options"], device["threads"], tell.round, cores)
                _append(file, {"pass": number, "unit": UNIT, "measurements": found})
    say(f"done: take {results_path(path)} to where the kit was made")


def describe_machine() -> dict[str, str]:
    """Describe this machine and what measures on it."""
    import onnxruntime

    return {**machine.describe(), "onnxruntime": onnxruntime.__version__, "numpy": np.__version__}


class _Progress:
    """Says now and then which round of a pass is done."""

    def __init__(self, what: str, say: Callable[[str], object]) -> None:
        self._what = what
        self._say = say
        self._rounds = 0
        self._said_s = time.monotonic()
        say(what)

    def round(self) -> None:
        self._rounds += 1
        if time.monotonic() - self._said_s > _SECONDS_BETWEEN_LINES:
            self._said_s = time.monotonic()
            self._say(f"{self._what}: {self._rounds} rounds")


def _loader(kit: Mapping[str, Any], asked: Mapping[str, Any], folder: Path) -> Callable[[str], Runner]:
    """Return what loads a model of a pass and checks that it computes what it should."""
    device = kit["device"]

    def load(name: str) -> Runner:
        files = asked["models"][name]
        try:
            with np.load(folder / files["feed"]) as feed:
                arrays = {key: feed[key] for key in feed.files}
            expected = np.load(folder / files["output"])
            runner = Session((folder / files["model"]).read_bytes(), arrays, device["threads"], device["batch_size"])
            runner.run()
        except Exception as error:  # of types that onnxruntime keeps to itself
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise KitError(f"{name} does not run under this onnxruntime: {reason}") from None
        found = difference(runner.output(), expected)
        if not found <= LARGEST_DIFFERENCE[device["precision"]]:
            raise KitError(f"{name} computes something else here: its output is off by {found:.2g} of its size")
        return runner

    return load


@contextmanager
def _claimed(path: Path, say: Callable[[str], object]) -> Iterator[BinaryIO]:
    """Open the results for this process alone; a second one waits for the first, and then has nothing left to do."""
    with path.open("a+b") as file:
        lock.hold(file, say, lambda: "this kit is being measured already")
        yield file


def _begin(file: BinaryIO, header: Mapping[str, Any], path: Path) -> int:
    """Return how many passes the results hold, after dropping a broken tail; write the header where there is none."""
    file.seek(0)
    lines, records = file.readlines(), []
    for number, line in enumerate(lines, 1):
        try:
            records.append(dict(json.loads(line if line.endswith(b"\n") else b"")))
        except (TypeError, ValueError):
            if number < len(lines):
                raise KitError(
                    f"{path}, line {number}: no record, but others follow: move the file away to begin anew"
                ) from None
    file.truncate(sum(map(len, lines[: len(records)])))
    if not records:
        _append(file, header)
        return 0
    if records[0].get("kit") != header["kit"]:
        raise KitError(f"{path} is of another kit: move it away to begin anew")
    there, here = records[0].get("machine") or {}, header["machine"]
    for name in _DECISIVE:
        if there.get(name) != here[name]:
            raise KitError(
                f"{path} is of another machine: {name} {there.get(name)!r} there, {here[name]!r} here; move it away to "
                "begin anew"
            )
    return len(records) - 1


def _append(file: BinaryIO, record: Mapping[str, Any]) -> None:
    file.seek(0, os.SEEK_END)
    file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())
