"""What may befall a search in the middle: each waits for its moment, strikes, and returns how often it did."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np
from ray.cluster_utils import Cluster

from experiments.faults import clusters, network
from experiments.faults.memory import little_memory
from experiments.faults.trial import TIMEOUT_S, Trial, connect, wait_until

Strike = Callable[[Trial, Cluster], int]

_EARLY = 10
"""So many evaluations have ended when most things strike."""


def _at_work(trial: Trial, among: Callable[[], Container[int]] | None = None) -> list[int]:
    """Wait for the moment to strike; return the processes that evaluate then (of some), none if the search is over."""
    while not trial.over.exists():
        busy = [pid for pid in trial.evaluator.busy() if among is None or pid in among()]
        if busy and len(trial.evaluator.ended()) >= _EARLY:
            return busy
        time.sleep(0.02)
    return []


def during(
    strike: Strike,
    cluster_of: Callable[[], AbstractContextManager[Cluster]] = clusters.nodes,
    timeout_s: float | None = TIMEOUT_S,
) -> Callable[[Trial], int]:
    """Return what lets something strike a search, beside it, on a cluster of its own."""

    def run(trial: Trial) -> int:
        with cluster_of() as cluster, connect(cluster.address, timeout_s) as executor, ThreadPoolExecutor(1) as beside:
            struck = beside.submit(strike, trial, cluster)
            try:
                trial.search(executor)
            finally:
                trial.over.touch()
            return struck.result()

    return run


def nothing(trial: Trial, cluster: Cluster) -> int:
    """Let the search be."""
    return 0


def some_raise(trial: Trial) -> int:
    """Let the search be, some networks of which cannot be evaluated; return how many are recorded with their traces."""
    during(nothing)(trial)
    return trial.journal.read_text().count("Traceback")


def kill_worker(trial: Trial, cluster: Cluster) -> int:
    """Kill a worker in the middle of an evaluation."""
    victims = _at_work(trial)[:1]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    return len(victims)


def kill_node(trial: Trial, cluster: Cluster) -> int:
    """Kill a node that workers are on, with all its processes."""
    if not _at_work(trial):
        return 0
    cluster.remove_node(cluster.list_all_nodes()[1], allow_graceful=False)
    return 1


def hang(trial: Trial, cluster: Cluster) -> int:
    """Let an evaluation never end."""
    return _told(trial, "hang")


def _told(trial: Trial, what: str) -> int:
    """Leave a note; return how many evaluations have taken it when one has, or the search is over."""
    _at_work(trial)
    trial.evaluator.tell(what)
    wait_until(lambda: trial.evaluator.taken(what) > 0 or trial.over.exists())
    return trial.evaluator.taken(what)


def exhaust_group(trial: Trial, cluster: Cluster) -> int:
    """Let an evaluation take more memory than the kernel grants it; return how many the kernel says it ended."""
    _at_work(trial)
    with little_memory() as group:
        trial.evaluator.tell("exhaust", str(group.processes))
        wait_until(lambda: group.n_killed() > 0 or trial.over.exists())
        return group.n_killed()


def exhaust_node(trial: Trial, cluster: Cluster) -> int:
    """Let an evaluation take more memory than Ray grants the processes of a node."""
    return _told(trial, "exhaust")


def cut_cable(seconds: float) -> Strike:
    """Return what cuts the cable of the node in a network of its own, for so long, while its workers evaluate."""

    def cut(trial: Trial, cluster: Cluster) -> int:
        branch = network.Branch(os.getpid())
        if not _at_work(trial, branch.processes):
            return 0
        branch.cut(seconds)
        return 0 if trial.over.exists() else 1

    return cut


def kills(n: int) -> Strike:
    """Return what kills a worker at work n times, at random moments all over a search."""

    def kill(trial: Trial, cluster: Cluster) -> int:
        rng = np.random.default_rng(0)
        n_killed = 0
        moments = np.sort(rng.integers(trial.n - 5, size=n))
        while n_killed < n and not trial.over.exists():
            time.sleep(rng.uniform(0.0, 0.1))
            if len(trial.evaluator.ended()) < moments[n_killed]:
                continue
            with contextlib.suppress(ProcessLookupError):
                if busy := trial.evaluator.busy():
                    os.kill(int(rng.choice(busy)), signal.SIGKILL)
                    n_killed += 1
        return n_killed

    return kill
