"""The search that faults strike: evolution on four workers, whose driver may be this process or one of its own."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from experiments.faults.noted import SPACE, Noted
from nas import strategies
from nas.executors.executor import Executor
from nas.executors.options import ClusterOptions
from nas.executors.ray_executor import RayExecutor
from nas.objectives import FeasibleRegion, Objective
from nas.search import Search

WORKERS, TIMEOUT_S = 4, 5.0


@dataclass(frozen=True)
class Trial:
    """A search that something befalls.

    Attributes:
        directory: of its notes and of its run.
        n: networks that it evaluates.
        seconds: that an evaluation takes, about.
        refused: one network in about so many cannot be evaluated; 0: each can.
    """

    directory: Path
    n: int
    seconds: float = 0.2
    refused: int = 0

    @property
    def evaluator(self) -> Noted:
        """What evaluates, and its notes."""
        return Noted(self.directory / "notes", self.seconds, self.refused)

    @property
    def journal(self) -> Path:
        """The file of what was evaluated."""
        return self.directory / "run" / "journal.jsonl"

    @property
    def over(self) -> Path:
        """A file that is there once the search has ended."""
        return self.directory / "over"

    def search(self, executor: Executor | None = None) -> None:
        """Search, or go on, by evolution that is two asks ahead of what it was told."""
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        strategy = strategies.load("regularized_evolution", population=20, sample=5)
        Search(
            self.evaluator, strategy, [Objective("score")], FeasibleRegion(SPACE),
            budget=self.n, seed=0, journal=self.journal, executor=executor, ahead=2,
        ).run(progress=False)  # fmt: skip

    def driver(self, address: str) -> "subprocess.Popen[str]":
        """Start a process that searches on the cluster at an address; bad input ends it with a line and with 2."""
        told = [address, self.directory, self.n, self.seconds]
        command = [sys.executable, "-m", "experiments.faults.driver", *map(str, told)]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def connect(address: str, timeout_s: float | None = TIMEOUT_S) -> RayExecutor:
    """Return an executor of four workers."""
    return RayExecutor(ClusterOptions(WORKERS, address, threads=1, timeout_s=timeout_s, attempts=6))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    while not condition():
        time.sleep(0.02)
