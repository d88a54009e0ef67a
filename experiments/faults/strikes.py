"""What may befall a search: each waits for its moment, strikes, and returns how often it did."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ray.cluster_utils import Cluster

from experiments.faults.noted import Noted, wait_until


def nothing(evaluator: Noted, cluster: Cluster) -> int:
    """Let the search be."""
    return 0


def kill_worker(evaluator: Noted, cluster: Cluster) -> int:
    """Kill a worker in the middle of an evaluation."""
    wait_until(lambda: len(evaluator.ended()) >= 10 and bool(evaluator.busy()))
    os.kill(evaluator.busy()[0], signal.SIGKILL)
    return 1


def kill_node(evaluator: Noted, cluster: Cluster) -> int:
    """Kill a node that workers are on, with all its processes."""
    wait_until(lambda: len(evaluator.ended()) >= 10)
    cluster.remove_node(cluster.list_all_nodes()[1], allow_graceful=False)
    return 1


def told(name: str) -> Callable[[Noted, Cluster], int]:
    """Return what makes one evaluation suffer."""

    def tell(evaluator: Noted, cluster: Cluster) -> int:
        wait_until(lambda: len(evaluator.ended()) >= 10)
        (evaluator.directory / name).touch()
        return 1

    return tell


def stop_raylet(seconds: float) -> Callable[[Noted, Cluster], int]:
    """Return what keeps a node silent for so long, workers and all, as a cut cable would."""

    def silence(evaluator: Noted, cluster: Cluster) -> int:
        wait_until(lambda: len(evaluator.ended()) >= 10 and bool(evaluator.busy()))
        node = cluster.list_all_nodes()[1]
        processes = [info.process.pid for infos in node.all_processes.values() for info in infos]
        processes += [pid for pid in evaluator.busy() if _parent(pid) in processes]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return 1

    return silence


def _parent(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def kills(n: int, n_evaluations: int) -> Callable[[Noted, Cluster], int]:
    """Return what kills a worker at work n times, at random moments all over a search of so many evaluations."""

    def kill(evaluator: Noted, cluster: Cluster) -> int:
        rng = np.random.default_rng(0)
        n_killed = 0
        moments = np.sort(rng.integers(n_evaluations - 5, size=n))
        while n_killed < n and not evaluator.over.exists():
            time.sleep(rng.uniform(0.0, 0.1))
            if len(evaluator.ended()) < moments[n_killed]:
                continue
            with contextlib.suppress(ProcessLookupError):
                if busy := evaluator.busy():
                    os.kill(int(rng.choice(busy)), signal.SIGKILL)
                    n_killed += 1
        return n_killed

    return kill
