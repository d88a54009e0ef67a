"""Workers as actors of a Ray cluster, which hold the evaluator, its weights shared by their node."""

import contextlib
import importlib.metadata
import platform
import queue
import textwrap
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import ray
import ray.exceptions
import torch
from torch import nn

from nas.evaluation.evaluator import Evaluator
from nas.executors import ray_cluster
from nas.executors.crew import Crew, Done, Event, Lost, Ready, Worker
from nas.executors.executor import Outcome, evaluated
from nas.executors.parcel import Parcel, pack, unpack
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

_DECISIVE = ("torch", "numpy")

_LONGEST_REASON = 200
"""Letters: Ray's advice on a worker's death takes ten lines."""

_QUIET_S = 20.0
"""So long is nothing sent to a worker at work. Where a network was cut, its answer may be lost for good, and only who
sends something learns that the connection is no more."""


class RayActors(Crew):
    """Workers as actors; the evaluator goes into the object store once, and from there to each node once.

    Args:
        evaluator: what they evaluate with.
        wanted: the resources that each takes.
        threads: that each computes with.
        spare: actors that have nothing to do, from and for other crews of the same executor.
        head: of the cluster.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        wanted: Mapping[str, float],
        threads: int,
        spare: list["Actor"],
        head: ray_cluster.Head,
    ) -> None:
        self._evaluator = evaluator
        self._head = head
        self._parcel: Any = None
        self._wanted = wanted
        self._threads = threads
        self._spare = spare
        self._actors: dict[Worker, Actor] = {}
        self._occupied: Counter[Worker] = Counter()
        self._sent: OrderedDict[Worker, float] = OrderedDict()  # when each was last sent something, earliest first
        self._n_hired = 0
        self._arrived: queue.SimpleQueue[tuple[Worker, Future[Any], float]] = queue.SimpleQueue()

    def now(self) -> float:
        return time.monotonic()

    def hire(self) -> Worker:
        self._head.require()
        if self._parcel is None:
            self._parcel = ray.put(pack(self._evaluator))
        self._n_hired += 1
        worker = self._n_hired
        actor = self._spare.pop() if self._spare else _start(self._wanted)
        self._actors[worker] = actor
        self._await(worker, actor.load.remote(self._parcel, self._threads, _versions()))
        return worker

    def send(self, worker: Worker, batches: Sequence[Population]) -> None:
        self._occupied[worker] += 1
        self._await(worker, self._actors[worker].evaluate.remote(batches))
        self._note_sent(worker)

    def dismiss(self, worker: Worker) -> None:
        self._sent.pop(worker, None)
        end(self._actors.pop(worker))

    def events(self, timeout: float) -> list[Event]:
        self._head.require()
        self._try_connections()
        found: list[Event] = []
        try:
            found += self._event(*self._arrived.get(timeout=min(timeout, ray_cluster.LOOK_S)))
            while True:
                found += self._event(*self._arrived.get_nowait())
        except queue.Empty:
            return found

    def offered(self) -> str:
        return ray_cluster.describe_offers()

    def close(self) -> None:
        for worker, actor in list(self._actors.items()):
            if self._occupied[worker]:
                self.dismiss(worker)
            else:  # also one that is still starting
                self._spare.append(actor)
        self._actors.clear()

    def _await(self, worker: Worker, result: Any) -> None:
        """Have the result put among what has arrived, when it is there: no call looks at all workers."""
        result.future().add_done_callback(lambda future: self._arrived.put((worker, future, self.now())))

    def _note_sent(self, worker: Worker) -> None:
        self._sent[worker] = self.now()
        self._sent.move_to_end(worker)

    def _try_connections(self) -> None:
        """Send something to who has long been at work; it is answered after the work."""
        while self._sent and next(iter(self._sent.values())) < self.now() - _QUIET_S:
            worker = next(iter(self._sent))
            if self._occupied[worker]:
                self._actors[worker].__ray_ready__.remote()
                self._note_sent(worker)
            else:
                del self._sent[worker]

    def _event(self, worker: Worker, future: "Future[Any]", at: float) -> list[Event]:
        if worker not in self._actors:
            return []  # dismissed
        error = future.exception()
        if error is None and future.result() is None:
            return [Ready(worker)]
        if error is None:
            self._occupied[worker] -= 1
            return [Done(worker, future.result(), at)]
        cause = cause_of(error)
        if isinstance(cause, InputError):
            raise cause
        self.dismiss(worker)
        raised = isinstance(error, ray.exceptions.RayTaskError)
        return [Lost(worker, reason_of(cause), raised)]


Actor = Any
"""A handle of `_Evaluations`, which Ray gives no type."""


def _start(wanted: Mapping[str, float]) -> Actor:
    """Ask for an actor that takes these resources."""
    custom = {name: amount for name, amount in wanted.items() if name not in ("CPU", "GPU")}
    return _Evaluations.options(  # type: ignore[attr-defined]
        num_cpus=wanted["CPU"],
        num_gpus=wanted["GPU"],
        resources=custom,
        scheduling_strategy="SPREAD",
        max_restarts=0,
    ).remote()


def end(actor: Actor) -> None:
    """End an actor, whatever it is doing."""
    if not ray.is_initialized():
        return  # the cluster is gone, and a call would start another
    with contextlib.suppress(ray.exceptions.RayError, ConnectionError):  # it may be dead, or not have begun to live
        ray.kill(actor)


@ray.remote
class _Evaluations:
    """An actor that holds an evaluator."""

    def load(self, parcel: Parcel, threads: int, versions: Mapping[str, str]) -> None:
        """Take the evaluator from the object store."""
        _require_versions(versions)
        torch.set_num_threads(threads)
        self._evaluator = unpack(parcel)
        if torch.cuda.is_available():
            for value in vars(self._evaluator).values():
                if isinstance(value, nn.Module):
                    value.to("cuda")

    def evaluate(self, batches: Sequence[Population]) -> list[Outcome]:
        return [evaluated(self._evaluator, batch) for batch in batches]


def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _DECISIVE}


def _require_versions(wanted: Mapping[str, str]) -> None:
    """Raise unless this worker computes with the driver's versions: with others, it would get other numbers."""
    here = _versions()
    different = [
        f"{name} {here[name]} there, {version} here" for name, version in wanted.items() if here[name] != version
    ]
    if different:
        raise InputError(f"node {platform.node()} has other versions ({'; '.join(different)}): install the same")


def cause_of(error: BaseException) -> BaseException:
    """Return what was raised on the worker."""
    return getattr(error, "cause", None) or error


def reason_of(error: BaseException) -> str:
    """Say in one line what a worker was lost by."""
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return f"{type(error).__name__}: its node ran out of memory, and Ray ended it"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {textwrap.shorten(lines[-1] if lines else 'no reason given', _LONGEST_REASON)}"
