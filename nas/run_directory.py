"""A verb's directory of plain files: what was asked, what came of it, and the guard against mixing two runs."""

import dataclasses
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latency_predictors.fingerprint import fingerprint
from search_spaces.errors import InputError
from search_spaces.storage import read_json, require_same, write_json

_SCHEMA = "run/1"
_ASKED, _RESULT, _LOCK = "run.json", "result.json", ".lock"
_locked: dict[Path, int] = {}


def begin_run(
    directory: Path, verb: str, config: Any, inputs: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Claim a directory for a verb and its options, or go on with one that holds the same.

    Args:
        directory: made if it does not exist; no other process may use it until this one ends.
        verb: name of the verb.
        config: its dataclass of options.
        inputs: digests of what the run starts from.

    Returns:
        The result, if the run is finished already.

    Raises:
        InputError: the directory holds the run of another verb, of other options or of other inputs, or is in use.
    """
    options = plain(config)
    options.pop("output", None)  # a directory that was moved is still the same run's
    asked = {"verb": verb, "options": options, "inputs": dict(inputs or {})}
    if not (directory / _ASKED).exists() and directory.is_dir() and any(directory.iterdir()):
        raise InputError(f"{directory} holds other files: give an output directory that is new, or of the same run")
    if (directory / _ASKED).exists() and _holds_work(directory):
        recorded = read_json(directory / _ASKED, _SCHEMA)
        require_same(str(directory), {name: recorded.get(name) for name in asked}, asked)
    else:  # nothing came of what was asked before, if anything was
        record_run(directory, asked)
    _lock(directory)
    return read_run(directory)[1] if (directory / _RESULT).exists() else None


def _holds_work(directory: Path) -> bool:
    return any(path.name not in (_ASKED, _LOCK) and path.stat().st_size for path in directory.iterdir())


def record_run(directory: Path, asked: Mapping[str, Any]) -> None:
    """Write down what a run was asked, by which command (None from Python), and on what."""
    command = ["nas", *sys.argv[1:]] if Path(sys.argv[0]).name == "nas" else None
    write_json(directory / _ASKED, _SCHEMA, {**asked, "command": command, "fingerprint": fingerprint()})


def _lock(directory: Path) -> None:
    """Keep other processes out of a directory for as long as this one lives."""
    key = directory.resolve()
    if key in _locked:
        return
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(f"{directory} is in use by another process: wait for it, or give another output") from None
    _locked[key] = descriptor


def digest(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finish_run(directory: Path, result: Mapping[str, Any]) -> None:
    """Record what came of a run; it is finished from then on."""
    write_json(directory / _RESULT, _SCHEMA, result)


def read_run(directory: Path, verb: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was asked of a finished run, and its result.

    Raises:
        InputError: the directory is no run, is another verb's, or is not finished.
    """
    asked = read_asked(directory)
    if verb and asked["verb"] != verb:
        raise InputError(f"{directory} holds a run of `nas {asked['verb']}`, expected one of `nas {verb}`")
    if not (directory / _RESULT).exists():
        raise InputError(f"{directory} is not finished: run `nas {asked['verb']}` again with the same options to go on")
    result = read_json(directory / _RESULT, _SCHEMA)
    del result["schema"]
    return asked, result


def read_asked(directory: Path) -> dict[str, Any]:
    """Return what was asked of a run, finished or not.

    Raises:
        InputError: the directory is no run.
    """
    if not (directory / _ASKED).exists():
        raise InputError(f"{directory} is not the output directory of a nas run")
    return read_json(directory / _ASKED, _SCHEMA)


def is_finished(directory: Path) -> bool:
    """Tell whether a run has a result."""
    return (directory / _RESULT).exists()


def plain(config: Any) -> dict[str, Any]:
    """Return a dataclass as JSON has it: paths as absolute text, tuples as lists."""
    document: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), default=_absolute))
    return document


def _absolute(path: Path) -> str:
    return str(path.absolute())
