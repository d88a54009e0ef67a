"""Evaluations and measurements on a Ray cluster, an existing one or one of this process."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import ray
import ray.exceptions
import torch

from nas.evaluation.evaluator import Evaluator
from nas.executors import ray_cluster
from nas.executors.dispatcher import Dispatcher, Patience
from nas.executors.executor import Executor, Service
from nas.executors.options import ClusterOptions
from nas.executors.ray_actors import Actor, RayActors, cause_of, end, reason_of
from search_spaces.errors import InputError

_T = TypeVar("_T")

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
        self._spare: list[Actor] = []
        self._connected = ray_cluster.connect(options.address, self._threads * (options.workers or 1))
        self._head = ray_cluster.Head(options.address)
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
        crew = RayActors(evaluator, self._wanted, self._threads, self._spare, self._head)
        options = self.options
        patience = Patience(options.timeout_s, options.attempts, options.start_s)
        dispatcher = Dispatcher(evaluator, crew, self.n_workers, patience)
        try:
            yield dispatcher
        except ConnectionError as error:  # a client of the cluster that cannot send any more
            raise self._head.lost(error) from None
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
            pending = remote.remote(*arguments)
            while not ray.wait([pending], timeout=ray_cluster.LOOK_S)[0]:
                self._head.require()
            result: _T = ray.get(pending)
        except ray.exceptions.RayTaskError as error:
            raise cause_of(error) from None
        except ConnectionError as error:  # as above
            raise self._head.lost(error) from None
        except ray.exceptions.RayError as error:
            raise InputError(
                f"the node of device {self.options.device} was lost while it measured ({reason_of(error)}): mend it, "
                "and run the same command again"
            ) from None
        return result

    def close(self) -> None:
        self._end_spare()  # they would keep their resources from others
        if self._connected:
            ray.shutdown()
            self._connected = False

    def _end_spare(self) -> None:
        while self._spare:
            end(self._spare.pop())
