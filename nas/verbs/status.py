"""`nas status`: the jobs of a Ray cluster."""

import time
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas.executors.ray_jobs import Dashboard, jobs, require_job


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class StatusConfig:
    """Which job is asked about."""

    job: str | None = Field(default=None, description="as `nas submit` told it; unset: all there are")
    dashboard: Dashboard = Dashboard()


def status(options: StatusConfig) -> dict[str, Any]:
    """Show the jobs of a Ray cluster, the last first."""
    with jobs(options.dashboard) as client:
        if options.job is not None:
            require_job(client, options.job)
        known = [
            {
                "job": details.submission_id,
                "status": details.status.value,
                "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((details.start_time or 0) / 1000)),
                "command": details.entrypoint.partition("exec ")[2] or details.entrypoint,
                "message": details.message or "",
            }
            for details in client.list_jobs()
            if details.submission_id and options.job in (None, details.submission_id)
        ]
    return {"jobs": sorted(known, key=lambda job: job["started"], reverse=True)}
