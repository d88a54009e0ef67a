"""Where evaluations run, what workers on a cluster are given, and when they are given up: what a user may say of it."""

from collections.abc import Mapping

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas.config import require_unsaid, said
from nas.executors.executor import Executor
from nas.executors.local import LocalExecutor
from search_spaces.errors import InputError

_TAKEN = ("CPU", "GPU", "memory", "object_store_memory")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ClusterOptions:
    """Workers of a Ray cluster: how many and where, what each has, when it is given up. None of it changes a result."""

    workers: int | None = Field(
        default=None,
        ge=1,
        description="evaluate on so many workers of a Ray cluster; unset: in this process, or on as many as the "
        "cluster at the address has room for",
        json_schema_extra={"flag": "workers"},
    )
    address: str | None = Field(
        default=None,
        min_length=1,
        description="of the cluster: auto, HOST:PORT or ray://HOST:PORT; unset: one on this machine for this command",
        json_schema_extra={"flag": "address"},
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPUs that each worker takes and computes with; unset: as many threads as this process computes "
        "with, so that last digits are the same",
    )
    gpus: float = Field(default=0.0, ge=0, description="graphics cards that each worker takes, such as 0.5")
    resources: Mapping[str, float] = Field(
        default_factory=dict, description="custom resources that each worker takes, such as large_memory=1"
    )
    device: str | None = Field(
        default=None,
        min_length=1,
        description="measure on a node that offers the resource device:NAME, one thing at a time; unset: here",
    )
    timeout_s: float | None = Field(
        default=None,
        gt=0,
        description="longest time of one batch's evaluation, after which another worker gets it; unset: ten times the "
        "longest so far, and at least 300; before the first answer there is no limit",
    )
    attempts: int = Field(
        default=4, ge=1, description="workers that an evaluation may outlive before it counts as failed"
    )
    start_s: float = Field(default=300.0, gt=0, description="longest time without any worker")

    def __post_init__(self) -> None:
        for name in self.resources:
            if name in _TAKEN:
                raise InputError(f"cluster resource {name!r} is none of your own: say threads for CPU, gpus for GPU")
        if not self.asked_for:
            require_unsaid(self, said(self), "workers or an address", of=("cluster",))

    @property
    def asked_for(self) -> bool:
        """Whether evaluations are to run on a cluster at all."""
        return self.workers is not None or self.address is not None

    def resources_of_measuring(self) -> dict[str, float]:
        """Return what a measurement takes beside a thread: the device as a whole."""
        return {} if self.device is None else {f"device:{self.device}": 1.0}


def load_executor(options: ClusterOptions) -> Executor:
    """Return what evaluates: this process, unless workers or a cluster are asked for.

    Raises:
        InputError: there is no such cluster, or it lacks what is asked of it.
    """
    if not options.asked_for:
        return LocalExecutor()
    from nas.executors.ray_executor import RayExecutor  # here, as every command would else wait for Ray at its start

    return RayExecutor(options)
