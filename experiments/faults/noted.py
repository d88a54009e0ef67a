"""The search that faults strike: evaluations that take their time and leave notes, on four workers."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import search_spaces
from nas import strategies
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.executors.executor import Executor
from nas.executors.options import ClusterOptions
from nas.executors.ray_executor import RayExecutor
from nas.objectives import FeasibleRegion, Objective
from nas.search import Search
from search_spaces.plan_index import Population

SPACE = search_spaces.load("mobilenet_v3_32")
WORKERS, TIMEOUT_S = 4, 5.0


class Noted(Evaluator):
    """Takes its time, and notes who evaluated what; a file named `hang` or `exhaust` makes the next one do so.

    Args:
        directory: of the notes; a file `over` in it says that the search has ended.
        seconds: that an evaluation takes, about.
    """

    metrics = ("score",)
    batch_size = 1

    def __init__(self, directory: Path, seconds: float = 0.2) -> None:
        self.space = SPACE
        self.directory = directory
        self.seconds = seconds
        self.over = directory / "over"
        directory.mkdir(parents=True, exist_ok=True)

    def evaluate(self, population: Population) -> Metrics:
        (row,) = population
        name = "".join(map(str, row))
        (self.directory / f"{name}.begun-{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(self.seconds * (0.5 + (int(row.sum()) % 5) / 5))
        if self._is_told("hang"):
            time.sleep(1000)
        if self._is_told("exhaust"):
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does to whoever takes too much memory
        (self.directory / f"{name}.ended-{os.getpid()}-{time.monotonic_ns()}").touch()
        return {"score": np.array([float((row * np.arange(1, len(row) + 1)).sum()) / 7])}

    def _is_told(self, what: str) -> bool:
        try:
            (self.directory / what).unlink()
        except FileNotFoundError:
            return False
        return True

    def begun(self) -> int:
        """Return how many evaluations have begun."""
        return len(list(self.directory.glob("*.begun-*")))

    def ended(self) -> Counter[str]:
        """Return how often each network was evaluated to the end."""
        return Counter(path.name.split(".")[0] for path in self.directory.glob("*.ended-*"))

    def busy(self) -> list[int]:
        """Return the processes that are evaluating."""
        begun, ended = (
            {tuple(p.name.split("-")[:2]) for p in self.directory.glob(f"*.{e}-*")} for e in ("begun", "ended")
        )
        ended = {(name.replace("ended", "begun"), process) for name, process in ended}
        return [int(process) for _, process in begun - ended if Path(f"/proc/{process}").exists()]


def search(evaluator: Noted, journal: Path, n: int, executor: Executor | None) -> None:
    """Search for n networks by evolution that is two asks ahead of what it was told."""
    strategy = strategies.load("regularized_evolution", population=20, sample=5)
    Search(
        evaluator, strategy, [Objective("score")], FeasibleRegion(SPACE),
        budget=n, seed=0, journal=journal, executor=executor, ahead=2,
    ).run(progress=False)  # fmt: skip


def connect(address: str) -> RayExecutor:
    """Return an executor of four workers, whose evaluations may take five seconds."""
    return RayExecutor(ClusterOptions(WORKERS, address, threads=1, timeout_s=TIMEOUT_S, attempts=6))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    while not condition():
        time.sleep(0.02)
