"""A verb's directory of plain files: what was asked, what came of it, and the guard against mixing two runs."""

import dataclasses
import functools
import hashlib
import json
import logging
import operator
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from latency_predictors.fingerprint import fingerprint
from nas import run_lock
from nas.remote.store import is_url
from nas.remote.working_copy import at_hand, told, told_document
from search_spaces.errors import InputError
from search_spaces.storage import read_json, require_same, write_json

logger = logging.getLogger(__name__)

_SCHEMA = "run/1"
_ASKED, RESULT = "run.json", "result.json"
_IMMATERIAL = ("memory_gb", "checkpoint_seconds", "ranks", "cluster", "force")
"""Options that decide how, not what."""

_PLACES = ("host", "hosts")
"""Options that say where devices are. Who goes on sees whether it is the same; what is finished is of the one asked."""


def begin_run(
    directory: Path,
    verb: str,
    config: Any,
    inputs: Mapping[str, str] | None = None,
    *,
    of_verbs: bool = False,
    force: bool = False,
) -> dict[str, Any] | None:
    """Claim a directory for a verb and its options, or go on with one that holds the same.

    Args:
        directory: made if it does not exist; no other process may use it until this one ends.
        verb: name of the verb.
        config: its dataclass of options.
        inputs: digests of what the run starts from.
        force: whether to take the directory over from a process that is thought to be dead.
        of_verbs: whether all work is that of other verbs in directories of their own, which compare their own options.

    Returns:
        The result, if the run is finished already.

    Raises:
        InputError: the directory holds the run of another verb, of other options or of other inputs, or is in use.
    """
    if is_url(str(directory).replace(":/", "://", 1)):  # what `Path` makes of a URL
        raise InputError(f"{directory} is no path: from Python, use `with nas.remote.staging.mirrored(URL) as output`")
    if directory.exists() and not directory.is_dir():
        raise InputError(
            f"output {directory} is a file, expected a directory: give one that is new, or of the same run"
        )
    if (
        not (directory / _ASKED).exists()
        and directory.is_dir()
        and any(p.name != run_lock.FILE for p in directory.iterdir())
    ):
        raise InputError(f"{directory} holds other files: give an output directory that is new, or of the same run")
    directory.mkdir(parents=True, exist_ok=True)
    left_by = run_lock.lock(directory, force=force)
    inputs = dict(inputs or {})
    asked = {"verb": verb, "options": plain(config), "inputs": inputs}
    finished = is_finished(directory)
    recorded = require_same_options(directory, verb, config, of_verbs=of_verbs)
    if recorded is not None and (finished or not of_verbs):
        _require_same_inputs(directory, recorded.get("inputs", {}), inputs)
        if _identity(recorded, config) != _identity(asked, config):
            _record(directory, asked)  # the device is elsewhere now
    else:  # nothing came of what was asked before, if anything was
        _record(directory, asked)
    if left_by:
        logger.warning("%s was left by %s, which is dead: going on from what it finished", directory, left_by)
    return read_run(directory)[1] if finished else None


def require_same_options(directory: Path, verb: str, config: Any, *, of_verbs: bool = False) -> dict[str, Any] | None:
    """Return what a directory's run was asked, if anything came of it; see `begin_run`, before which it may be called.

    Raises:
        InputError: the directory holds the run of another verb or of other options.
    """
    if not (directory / _ASKED).exists() or not _holds_work(directory):
        return None
    recorded, finished = read_asked(directory), is_finished(directory)
    if recorded["verb"] != verb:
        raise InputError(f"{directory} is of `nas {recorded['verb']}`, not of `nas {verb}`: give another directory")
    if finished or not of_verbs:
        asked = {"verb": verb, "options": plain(config)}
        without = () if finished else _PLACES
        require_same(str(directory), *(_identity(document, config, without) for document in (recorded, asked)))
    return recorded


def _holds_paths(value: Any) -> bool:
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]
    return any(isinstance(one, Path) for one in values)


def _holds_work(directory: Path) -> bool:
    return any(path.name not in (_ASKED, run_lock.FILE) and path.stat().st_size for path in directory.iterdir())


def _identity(document: Mapping[str, Any], config: Any, without: Collection[str] = ()) -> dict[str, Any]:
    """Return what must be equal for a run to be the same, beside inputs, whose digests stand for paths: these move."""
    paths = {field.name for field in dataclasses.fields(config) if _holds_paths(getattr(config, field.name))}
    options = {name: value for name, value in document["options"].items() if name not in paths}
    return {"verb": document["verb"], "options": material(options, without)}


def _require_same_inputs(directory: Path, recorded: Mapping[str, str], asked: Mapping[str, str]) -> None:
    """Raise unless two runs start from the same, by digests, which tell nothing to a person."""
    for name in [*asked, *recorded]:
        if recorded.get(name) != asked.get(name):
            differs = "what it holds differs" if name in recorded and name in asked else "only one of the two has it"
            raise InputError(
                f"{directory} was made with another {name} than is asked for, {differs}: use the same, or another "
                "output directory"
            )


def material(options: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """Return options, as plain values, without those that cannot change a result, and others of these names."""
    return {
        name: material(value, without) if isinstance(value, dict) else value
        for name, value in options.items()
        if name not in (*_IMMATERIAL, *without)
    }


def _record(directory: Path, asked: Mapping[str, Any]) -> None:
    """Write down what a run was asked, by which command (None from Python), and on what."""
    command = ["nas", *sys.argv[1:]] if Path(sys.argv[0]).name == "nas" else None
    write_json(directory / _ASKED, _SCHEMA, {**asked, "command": command, "fingerprint": fingerprint()})


def input_path(directory: Path, *names: str) -> Path:
    """Return a path that a run was given: where it was, or, if all was moved together, where it lies from here.

    What was at a URL is fetched, unless it lies here.

    Args:
        directory: of the run.
        names: of the option, and within it, where it holds several paths by name.
    """
    options = read_asked(directory)["options"]
    given = functools.reduce(operator.getitem, names, options)
    way = os.path.relpath(given, options["output"])
    moved = at_hand(Path(os.path.normpath(directory.absolute() / way)))
    return moved if moved.exists() and (is_url(given) or not Path(given).exists()) else at_hand(given)


def digest(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finish_run(directory: Path, result: Mapping[str, Any]) -> None:
    """Record what came of a run; it is finished from then on."""
    write_json(directory / RESULT, _SCHEMA, told_document(result))


def read_run(directory: Path, verb: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was asked of a finished run, and its result.

    Raises:
        InputError: the directory is no run, is another verb's, or is not finished.
    """
    asked = read_asked(directory)
    if verb and asked["verb"] != verb:
        raise InputError(f"{directory} holds a run of `nas {asked['verb']}`, expected one of `nas {verb}`")
    if not (directory / RESULT).exists():
        raise InputError(f"{directory} is not finished: run `nas {asked['verb']}` again with the same options to go on")
    result = read_json(directory / RESULT, _SCHEMA)
    del result["schema"]
    return asked, result


def read_asked(directory: Path) -> dict[str, Any]:
    """Return what was asked of a run, finished or not.

    Raises:
        InputError: the directory is no run.
    """
    if not (directory / _ASKED).exists():
        raise InputError(f"{directory} is not the output directory of a nas run")
    return read_json(directory / _ASKED, _SCHEMA, ("verb", "options"))


def is_finished(directory: Path) -> bool:
    """Tell whether a run has a result."""
    return (directory / RESULT).exists()


def plain(config: Any) -> dict[str, Any]:
    """Return a dataclass as JSON has it: paths as absolute text or as their URLs, tuples as lists."""
    document: dict[str, Any] = json.loads(told(json.dumps(dataclasses.asdict(config), default=_absolute)))
    return document


def _absolute(path: Path) -> str:
    return str(path.absolute())
