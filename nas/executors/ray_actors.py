"""Evaluations on a Ray cluster: each worker is an actor that holds the evaluator, its weights shared by its node."""

import contextlib
import importlib.metadata
import logging
import math
import platform
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import ray
import ray.exceptions
import torch
from torch import nn

from nas.evaluation.evaluator import Evaluator
from nas.executors import ray_cluster
from nas.executors.dispatcher import Crew, Dispatcher, Done, Event, Lost, Patience, Ready, Worker
from nas.executors.executor import Executor, Outcome, Service, evaluated
from nas.executors.options import ClusterOptions
from nas.executors.parcel import Parcel, pack, unpack
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

_T = TypeVar("_T")

_DECISIVE = ("torch", "numpy")

logger = logging.getLogger(__name__)


class RayExecutor(Executor):
    """Evaluates on the workers of a Ray cluster.

    Args:
        options: how many workers (None: as many as the cluster has room for), at which address (see
            `ray_cluster.connect`; None: on this machine, for this process), what each has, when it is given up.

    Raises:
        InputError: there is no such cluster, or no node has what a worker takes or what is to be measured on.
    """

    def __init__(self, options: ClusterOptions) -> None:
        if not options.asked_for:
            raise InputError("workers on this machine: say how many, or give the address of a cluster")
        self.options = options
        self._threads = options.threads or torch.get_num_threads()
        self._wanted = {"CPU": float(self._threads), "GPU": options.gpus, **options.resources}
        self._spare: list[_Actor] = []
        self._connected = ray_cluster.connect(options.address, self._threads * (options.workers or 1))
        try:
            ray_cluster.require_offer(self._wanted, "a worker")
            if options.device:
                ray_cluster.require_offer(options.resources_of_measuring(), "a measurement")
        except InputError:
            self.close()
            raise
        self.n_workers = options.workers or ray_cluster.n_fitting(self._wanted)

    @contextmanager
    def serve(self, evaluator: Evaluator) -> Iterator[Service]:
        if not evaluator.independent:
            raise InputError(
                f"{type(evaluator).__name__} builds on what it evaluated before, one after the other: leave workers out"
            )
        crew = _Actors(evaluator, self._wanted, self._threads, self._spare)
        options = self.options
        patience = Patience(options.timeout_s, options.attempts, options.start_s)
        dispatcher = Dispatcher(evaluator, crew, self.n_workers, patience)
        try:
            yield dispatcher
        finally:
            crew.close()
            spent = dispatcher.statistics
            if spent.n_workers_lost:
                reasons = "; ".join(sorted(set(spent.reasons)))
                logger.warning(
                    "%d workers were lost, %d batches sent again (%s)",
                    spent.n_workers_lost,
                    spent.n_sent_again,
                    reasons,
                )

    def measure(self, function: Callable[..., _T], *arguments: Any) -> _T:
        resources = self.options.resources_of_measuring()
        if not resources:
            return function(*arguments)
        self._end_spare()  # they would disturb what is measured beside them
        # no CPUs: where evaluations hold them all, a measurement would wait for ever
        remote = ray.remote(function).options(num_cpus=0, resources=resources, max_retries=self.options.attempts - 1)
        try:
            result: _T = ray.get(remote.remote(*arguments))
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        return result

    def close(self) -> None:
        self._end_spare()  # they would keep their resources from others
        if self._connected:
            ray.shutdown()
            self._connected = False

    def _end_spare(self) -> None:
        while self._spare:
            _end(self._spare.pop())


class _Actors(Crew):
    """Workers as actors; the evaluator goes into the object store once, and from there to each node once.

    Args:
        evaluator: what they evaluate with.
        wanted: the resources that each takes.
        threads: that each computes with.
        spare: actors that have nothing to do, from and for other crews of the same executor.
    """

    def __init__(self, evaluator: Evaluator, wanted: Mapping[str, float], threads: int, spare: list["_Actor"]) -> None:
        self._evaluator = evaluator
        self._parcel: Any = None
        self._wanted = wanted
        self._threads = threads
        self._spare = spare
        self._actors: dict[Worker, _Actor] = {}
        self._occupied: Counter[Worker] = Counter()
        self._n_hired = 0
        self._arrived: queue.SimpleQueue[tuple[Worker, Future[Any]]] = queue.SimpleQueue()

    def now(self) -> float:
        return time.monotonic()

    def hire(self) -> Worker:
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

    def dismiss(self, worker: Worker) -> None:
        _end(self._actors.pop(worker))

    def events(self, timeout: float) -> list[Event]:
        found: list[Event] = []
        try:
            found += self._event(*self._arrived.get(timeout=None if math.isinf(timeout) else timeout))
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
        result.future().add_done_callback(lambda future: self._arrived.put((worker, future)))

    def _event(self, worker: Worker, future: "Future[Any]") -> list[Event]:
        if worker not in self._actors:
            return []  # dismissed
        error = future.exception()
        if error is None and future.result() is None:
            return [Ready(worker)]
        if error is None:
            self._occupied[worker] -= 1
            return [Done(worker, future.result())]
        cause = _cause(error)
        if isinstance(cause, InputError):
            raise cause
        self.dismiss(worker)
        raised = isinstance(error, ray.exceptions.RayTaskError)
        return [Lost(worker, f"{type(cause).__name__}: {_last_line(cause)}", raised)]


_Actor = Any
"""A handle of `_Evaluations`, which Ray gives no type."""


def _start(wanted: Mapping[str, float]) -> _Actor:
    """Ask for an actor that takes these resources."""
    custom = {name: amount for name, amount in wanted.items() if name not in ("CPU", "GPU")}
    return _Evaluations.options(  # type: ignore[attr-defined]
        num_cpus=wanted["CPU"],
        num_gpus=wanted["GPU"],
        resources=custom,
        scheduling_strategy="SPREAD",
        max_restarts=0,
    ).remote()


def _end(actor: _Actor) -> None:
    with contextlib.suppress(ray.exceptions.RayError):  # it may be dead, or not have begun to live
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


def _cause(error: BaseException) -> BaseException:
    """Return what was raised on the worker."""
    return getattr(error, "cause", None) or error


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
