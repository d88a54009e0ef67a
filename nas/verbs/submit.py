"""`nas submit`: another verb as a job of a Ray cluster."""

import shlex
import typing
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas import verbs
from nas.config import POSITIONAL
from nas.executors.options import ClusterOptions
from nas.executors.ray_jobs import Dashboard, jobs
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
    shares. It evaluates on the cluster's workers unless the verb is told otherwise. A job that was stopped or lost goes
    on when the same is submitted again.
    """
    verb, *arguments = options.command
    if verb not in verbs.VERBS:
        raise unknown("verb", verb, verbs.VERBS)
    takes = typing.get_type_hints(typing.get_type_hints(verbs.VERBS[verb])["options"])
    if "dashboard" in takes:
        raise InputError(f"`nas {verb}` is about jobs and no job itself: leave `submit --` out")
    said = {argument.split("=")[0] for argument in arguments}
    if ClusterOptions in takes.values() and not said & {"--address", "--cluster.address"}:
        arguments += ["--address", "auto"]
    command = shlex.join(["python", "-m", "nas", verb, *arguments])
    with jobs(options.dashboard) as client:
        job = client.submit_job(entrypoint=f"cd {shlex.quote(str(Path.cwd()))} && exec {command}")
    return {"job": job, "command": command, "directory": str(Path.cwd())}
