"""`nas show`: what a run was asked, and what came of it."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas.run_directory import read_run


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ShowConfig:
    """Which run."""

    run: Path = Field(description="output directory of any verb")


def show(options: ShowConfig) -> dict[str, Any]:
    """Show what a finished run was asked, and its result."""
    asked, result = read_run(options.run)
    return {"verb": asked["verb"], "command": " ".join(asked["command"]), **result}
