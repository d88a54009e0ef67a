"""Evaluators whose workers die, hang or fail at chosen networks; workers import them from here."""

import os
import signal
import time
from pathlib import Path
from typing import Literal

import numpy as np

from nas.evaluation.evaluator import Evaluator, Metrics
from search_spaces import SearchSpace
from search_spaces.plan_index import Population

Fault = Literal["none", "dies", "hangs", "raises", "always raises", "always dies", "cannot read"]


class Faulty(Evaluator):
    """Scores by the sum of the options' numbers; at every ninth network something happens, mostly but once.

    Args:
        space: the networks'.
        directory: of notes on what happened, and what was evaluated by whom.
        fault: what happens.
        seconds: that an evaluation takes, at most.
    """

    metrics = ("score",)
    batch_size = 1

    def __init__(self, space: SearchSpace, directory: Path, fault: Fault = "none", seconds: float = 0.0) -> None:
        self.space = space
        self.directory = directory
        self.fault = fault
        self.seconds = seconds
        directory.mkdir(exist_ok=True)

    def evaluate(self, population: Population) -> Metrics:
        (row,) = population
        total = int((row * np.arange(1, len(row) + 1)).sum())
        name = "-".join(map(str, row))
        if total % 9 == 0:
            self._fail(name)
        time.sleep(self.seconds * (total % 4) / 4)
        (self.directory / f"{name}.by-{os.getpid()}-{time.monotonic_ns()}").touch()
        return {"score": np.array([total / 7])}

    def _fail(self, name: str) -> None:
        if self.fault == "always raises":
            raise ValueError(f"no network {name}")
        first = not (self.directory / f"{name}.fault").exists()
        (self.directory / f"{name}.fault").touch()
        if self.fault == "always dies" or (self.fault == "dies" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "hangs" and first:
            time.sleep(1000)
        if self.fault == "cannot read" and first:
            raise OSError("the disk of this node is gone")

    def evaluations(self) -> list[str]:
        """Return the networks that were evaluated to the end, once for each time."""
        return [path.name.split(".")[0] for path in self.directory.glob("*.by-*")]
