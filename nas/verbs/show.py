"""`nas show`: what a run was asked, and what came of it."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas.config import DOCUMENTS
from nas.run_directory import is_finished, read_asked, read_run


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ShowConfig:
    """Which run."""

    run: Path = Field(description="output directory of any verb", json_schema_extra=DOCUMENTS)


def show(options: ShowConfig) -> dict[str, Any]:
    """Show what a run was asked, and its result if it is finished."""
    asked = read_asked(options.run)
    told = {"verb": asked["verb"], "command": " ".join(asked.get("command") or ["from Python"])}
    wanted = {f"asked.{name}": value for name, value in asked["options"].items()}
    if not is_finished(options.run):
        return {**told, "state": "not finished: run it again with the same options to go on", **wanted}
    return {**told, "state": "finished", **wanted, **read_run(options.run)[1]}
