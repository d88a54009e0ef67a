"""`nas stop`: end a job of a Ray cluster."""

from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas.executors.ray_jobs import Dashboard, jobs, require_job


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class StopConfig:
    """Which job is ended."""

    job: str = Field(description="as `nas submit` told it")
    dashboard: Dashboard = Dashboard()


def stop(options: StopConfig) -> dict[str, Any]:
    """End a job; what it finished is kept, and the same command, submitted again, goes on from there."""
    with jobs(options.dashboard) as client:
        require_job(client, options.job)
        stopped = client.stop_job(options.job)
        return {"job": options.job, "was_running": stopped, "status": client.get_job_status(options.job).value}
