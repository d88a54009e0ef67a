"""Measuring on another machine over ssh: copy a kit there, run it, fetch its results; again, where a cut ended it."""

import io
import json
import logging
import secrets
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from latency_predictors.device import Device
from latency_predictors.kit.folder import SCRIPT, Part, script, write_kit
from latency_predictors.kit.results import KitResults, read_records, read_results
from latency_predictors.kit.ssh import ConnectionLost, Host, parse_address
from latency_predictors.on_device.kit import KIT_SCHEMA, results_path
from search_spaces.errors import InputError
from search_spaces.storage import read_json

FOLDER = ".cache/hardware-aware-nas"
"""Of the user's home there."""

PAUSES_S: Sequence[float] = (1, 2, 5, 10, 20, 30, 60, 60, 60)
"""Between attempts to reach a host that was reached before: a board may restart."""

_ASKING = f"ask-{SCRIPT}"
_DAYS_KEPT = 1  # of files that later kits may want, too
_BATCH_BYTES = 32_000_000  # that a cut of the connection loses

T = TypeVar("T")
logger = logging.getLogger(__name__)


def measure_parts(device: Device, parts: Sequence[Part], *, resume: bool) -> KitResults:
    """Measure several sets of models, one after the other in one process of the device's host: one pass a set.

    Args:
        device: has a host.
        parts: the sets.
        resume: whether to take what an earlier call for the same, which was interrupted, left there, up to two days
            old; if not, all is measured from now on, after what is still at it there.

    Raises:
        InputError: a model does not run there, the host lacks what it takes, or does not answer (any longer).
    """
    assert device.host is not None
    host = parse_address(device.host)
    described = {} if resume else {"asked": secrets.token_hex(8)}  # so that its results are those of no other kit
    kept = "; what was finished is kept, and the same command goes on" if resume else ""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "kit.json")
        kit_id = write_kit(path, device, parts, described)
        path = path.rename(path.with_name(f"{kit_id}.json"))
        kit = read_json(path, KIT_SCHEMA)
        _reach(host)
        try:
            results = _insisting(host, lambda: _attempt(host, path, kit))
        except ConnectionLost as error:
            raise ConnectionLost(f"{error}{kept}") from None
        _remove(host, [path.name, results_path(path).name])
    origin = f"results from {device.host}"
    found = read_results(read_records(results, origin), kit, origin)
    if len(found.passes) < len(parts):
        raise InputError(
            f"{device.host} measured {len(found.passes)} of {len(parts)} passes: run the same command again"
        )
    return found


def describe_machine(device: Device) -> dict[str, str]:
    """Return the fingerprint of a device's host.

    Raises:
        InputError: the host does not answer, or lacks Python, NumPy or onnxruntime.
    """
    assert device.host is not None
    host = parse_address(device.host)
    command = f"cat > {_ASKING} && {host.python} {_ASKING} --machine"
    _reach(host)
    described: dict[str, str] = json.loads(_insisting(host, lambda: _run(host, command, script())))
    return described


@cache
def _reach(host: Host) -> None:
    """Raise unless a host answers, at once if it never did in this process: later, it may be restarting."""
    host.run("true")


def _attempt(host: Host, path: Path, kit: Mapping[str, Any]) -> bytes:
    """Copy what is not there yet, measure what is not measured yet, and return the results."""
    outdated = f"find . -type f -mtime +{_DAYS_KEPT} -exec rm -f {{}} +"
    measured_by = f"{host.python} {SCRIPT} {path.name}"
    told = _run(host, f"{outdated}; tar xmf - && {measured_by} --missing", _archive(path, [SCRIPT, path.name]))
    if missing := told.decode().split():
        n_bytes = sum(kit["files"][name] for name in missing)
        logger.info("%s: copying %d files, %.1f MB", host.user_host, len(missing), n_bytes / 1e6)
    for names in _batches(missing, kit["files"]):
        _run(host, "tar xmf -", _archive(path, names))
    results = results_path(path).name
    return _run(host, f"{measured_by} && cat {results}", tell=lambda line: logger.info("%s: %s", host.user_host, line))


def _remove(host: Host, names: Sequence[str]) -> None:
    """Remove a kit that is done, which may be asked for again, and measured anew; what it gave is here already."""
    try:
        _insisting(host, lambda: _run(host, f"rm -f {' '.join(names)}"))
    except ConnectionLost as error:
        logger.warning("%s; all that it measured is here, but %s stays there", error, names[-1])


def _run(host: Host, command: str, given: bytes = b"", **told: Callable[[str], object]) -> bytes:
    return host.run(f"mkdir -p {FOLDER} && cd {FOLDER} && {{ {command}; }}", given, **told)


def _insisting(host: Host, attempt: Callable[[], T]) -> T:
    """Return what an attempt returns, made again after each cut of the connection until the pauses are used up."""
    for pause_s in PAUSES_S:
        try:
            return attempt()
        except ConnectionLost:
            logger.warning("%s: the connection was cut; trying again in %g s", host.user_host, pause_s)
            time.sleep(pause_s)
    return attempt()


def _batches(names: Iterable[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield files of about `_BATCH_BYTES` at a time."""
    batch: list[str] = []
    for name in names:
        batch.append(name)
        if sum(sizes[one] for one in batch) >= _BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _archive(path: Path, names: Iterable[str]) -> bytes:
    """Return files of a kit's folder as a tar archive."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in names:
            archive.add(path.parent / name, arcname=name)
    return written.getvalue()
