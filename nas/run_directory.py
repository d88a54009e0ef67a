"""A verb's directory of plain files: what was asked, what came of it, and the guard against mixing two runs."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latency_predictors.fingerprint import fingerprint
from search_spaces.errors import InputError
from search_spaces.storage import read_json, require_same, write_json

_SCHEMA = "run/1"
_ASKED, _RESULT = "run.json", "result.json"


def begin_run(directory: Path, verb: str, config: Any) -> None:
    """Claim a directory for a verb and its options, or go on with one that holds the same.

    Args:
        directory: made if it does not exist.
        verb: name of the verb.
        config: its dataclass of options.

    Raises:
        InputError: the directory holds the run of another verb or of other options.
    """
    asked = {"verb": verb, "options": plain(config)}
    if (directory / _ASKED).exists():
        recorded = read_json(directory / _ASKED, _SCHEMA)
        require_same(str(directory), {name: recorded.get(name) for name in asked}, asked)
        return
    if directory.is_dir() and any(directory.iterdir()):
        raise InputError(f"{directory} holds other files: give an output directory that is new, or of the same run")
    provenance = {"command": ["nas", *sys.argv[1:]], "fingerprint": fingerprint()}
    write_json(directory / _ASKED, _SCHEMA, asked | provenance)


def finish_run(directory: Path, result: Mapping[str, Any]) -> None:
    """Record what came of a run; it is finished from then on."""
    write_json(directory / _RESULT, _SCHEMA, result)


def read_run(directory: Path, verb: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was asked of a finished run, and its result.

    Raises:
        InputError: the directory is no run, is another verb's, or is not finished.
    """
    if not (directory / _ASKED).exists():
        raise InputError(f"{directory} is not the output directory of a {verb or 'nas'} run")
    asked = read_json(directory / _ASKED, _SCHEMA)
    if verb and asked["verb"] != verb:
        raise InputError(f"{directory} holds a run of `nas {asked['verb']}`, expected one of `nas {verb}`")
    if not (directory / _RESULT).exists():
        raise InputError(f"{directory} is not finished: run `nas {asked['verb']}` again with the same options to go on")
    result = read_json(directory / _RESULT, _SCHEMA)
    del result["schema"]
    return asked, result


def plain(config: Any) -> dict[str, Any]:
    """Return a dataclass as JSON has it: paths as text, tuples as lists."""
    document: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    return document
