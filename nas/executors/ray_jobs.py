"""The jobs of a Ray cluster, by its dashboard, with every refusal as one clear line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from search_spaces.errors import InputError, unknown

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Dashboard:
    """Where a cluster takes jobs."""

    address: str = Field(
        default="http://127.0.0.1:8265",
        description="of the cluster's dashboard; from elsewhere, forward its port rather than open it",
    )


@contextmanager
def jobs(dashboard: Dashboard) -> "Iterator[JobSubmissionClient]":
    """Give the client of a cluster's jobs; what it refuses is told in one line.

    Raises:
        InputError: no dashboard answers, it asks for a token, or there is no such job.
    """
    # here, as every command would else wait for Ray at its start
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    from nas.executors.ray_cluster import token_missing

    try:
        yield JobSubmissionClient(dashboard.address)
    except InputError:
        raise
    except AuthenticationError:
        raise token_missing(dashboard.address) from None
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"no Ray dashboard takes jobs at {dashboard.address}: {said}") from None


def require_job(client: "JobSubmissionClient", job: str) -> None:
    """Raise unless the cluster knows a job.

    Raises:
        InputError: it does not; with those that it knows.
    """
    known = [details.submission_id for details in client.list_jobs() if details.submission_id]
    if job not in known:
        raise unknown("job", job, known)
