"""The jobs of a Ray cluster, by its dashboard, with every refusal as one clear line."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from search_spaces.errors import InputError, unknown


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Dashboard:
    """Where a cluster takes jobs."""

    address: str = Field(
        default="http://127.0.0.1:8265",
        description="of the cluster's dashboard; from elsewhere, forward its port rather than open it",
    )


@contextmanager
def jobs(dashboard: Dashboard) -> "Iterator[JobSubmissionClient]":  # type: ignore[name-defined]  # noqa: F821
    """Give the client of a cluster's jobs; what it refuses is told in one line.

    Raises:
        InputError: no dashboard answers, it asks for a token, or there is no such job.
    """
    from ray.job_submission import JobSubmissionClient

    from nas.executors import ray_cluster  # noqa: F401  # here, as every command would else wait for Ray at its start

    try:
        yield JobSubmissionClient(dashboard.address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _refusal(dashboard.address, error) from None


def require_job(client: "JobSubmissionClient", job: str) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Raise unless the cluster knows a job.

    Raises:
        InputError: it does not; with those that it knows.
    """
    known = [details.submission_id for details in client.list_jobs() if details.submission_id]
    if job not in known:
        raise unknown("job", job, known)


def _refusal(address: str, error: Exception) -> InputError:
    said = " ".join(str(error).split())
    if "401" in said or "403" in said or "token" in said.lower():
        return InputError(
            f"the cluster at {address} asks for a token that this process does not have: set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH to the file that holds it"
        )
    return InputError(f"no Ray dashboard takes jobs at {address}: {said}")
