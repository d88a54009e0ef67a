"""`nas submit`: another verb as a job of a Ray cluster."""

import shlex
import typing
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas import verbs
from nas.config import POSITIONAL
from nas.executors.options import ClusterOptions
from nas.executors.ray_jobs import Dashboard, jobs
from nas.remote.store import is_url
from search_spaces.errors import InputError, unknown


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SubmitConfig:
    """What is submitted, and where to."""

    command: tuple[str, ...] = Field(
        description="verb and its options, after --, as in `nas submit -- search ...`", json_schema_extra=POSITIONAL
    )
    dashboard: Dashboard = Dashboard()


def submit(options: SubmitConfig) -> dict[str, Any]:
    """Let a Ray cluster run another verb, as in `nas submit -- search --supernet ...`, and return at once.

    The job runs in the directory where this is said, by the same path, so that has to be on storage that the cluster
    shares; unless its --output is a URL, or its --config where --output is not said: then it needs none, and runs where
    Ray runs jobs. It evaluates on the cluster's workers unless the verb is told otherwise. A job that was stopped or
    lost goes on when the same is submitted again.
    """
    command, directory = _job(*options.command)
    go = "" if directory is None else f"cd {shlex.quote(str(directory))} && "
    with jobs(options.dashboard) as client:
        job = client.submit_job(entrypoint=f"{go}exec {command}")
    return {"job": job, "command": command, **({} if directory is None else {"directory": str(directory)})}


def _job(verb: str, *arguments: str) -> tuple[str, Path | None]:
    """Return the command of a job, and the directory that it has to be in, if any.

    Raises:
        InputError: there is no such verb, or it is about jobs.
    """
    if verb not in verbs.VERBS:
        raise unknown("verb", verb, verbs.VERBS)
    takes = typing.get_type_hints(typing.get_type_hints(verbs.VERBS[verb])["options"])
    if "dashboard" in takes:
        raise InputError(f"`nas {verb}` is about jobs and no job itself: leave `submit --` out")
    said = dict(pairwise([*arguments, ""]))
    said |= dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if ClusterOptions in takes.values() and not said.keys() & {"--address", "--cluster.address"}:
        arguments += ("--address", "auto")
    command = shlex.join(["python", "-m", "nas", verb, *arguments])
    return command, None if is_url(said.get("--output", said.get("--config"))) else Path.cwd()
