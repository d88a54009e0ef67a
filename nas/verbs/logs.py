"""`nas logs`: what a job of a Ray cluster has said."""

import asyncio
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas.executors.ray_jobs import Dashboard, jobs, require_job


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LogsConfig:
    """Whose log is wanted."""

    job: str = Field(description="as `nas submit` told it")
    follow: bool = Field(default=False, description="go on until the job ends")
    dashboard: Dashboard = Dashboard()


def logs(options: LogsConfig) -> dict[str, Any]:
    """Print what a job has said, and how it stands."""
    with jobs(options.dashboard) as client:
        require_job(client, options.job)
        if options.follow:
            asyncio.run(_print_all(client.tail_job_logs(options.job)))
        else:
            print(client.get_job_logs(options.job), end="")
        return {"job": options.job, "status": client.get_job_status(options.job).value}


async def _print_all(lines: Any) -> None:
    async for text in lines:
        print(text, end="", flush=True)
