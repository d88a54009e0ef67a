"""Evaluators whose workers die, hang or fail at chosen networks; workers import them from here."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from nas.evaluation.evaluator import Evaluator, Metrics
from search_spaces import SearchSpace
from search_spaces.plan_index import Population

Fault = Literal["dies", "hangs", "cannot read", "raises"]


class Faulty(Evaluator):
    """Scores by a weighted sum of the options' numbers; at every ninth network something happens.

    Args:
        space: the networks'.
        directory: of notes on what happened, and what was evaluated by whom.
        faults: what happens, each but once; `always` instead, each time.
        always: happens at each such network, every time.
        seconds: that an evaluation takes, at most.
    """

    metrics = ("score",)
    batch_size = 1

    def __init__(
        self,
        space: SearchSpace,
        directory: Path,
        faults: Sequence[Fault] = (),
        always: Fault | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.space = space
        self.directory = directory
        self.faults = faults
        self.always = always
        self.seconds = seconds
        directory.mkdir(exist_ok=True)

    def evaluate(self, population: Population) -> Metrics:
        (row,) = population
        total = int((row * np.arange(1, len(row) + 1)).sum())
        name = "-".join(map(str, row))
        if total % 9 == 0:
            self._suffer(name)
        time.sleep(self.seconds * (total % 4) / 4)
        (self.directory / f"{name}.by-{os.getpid()}-{time.monotonic_ns()}").touch()
        return {"score": np.array([total / 7])}

    def _suffer(self, name: str) -> None:
        fault = self.always or self._next_fault()
        if fault == "raises":
            raise ValueError(f"no network {name}")
        if fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "hangs":
            time.sleep(1000)
        if fault == "cannot read":
            raise OSError("the disk of this node is gone")

    def _next_fault(self) -> Fault | None:
        """Return the first fault that nobody has suffered yet."""
        for i, fault in enumerate(self.faults):
            with contextlib.suppress(FileExistsError):
                (self.directory / f"{i}.fault").touch(exist_ok=False)
                return fault
        return None

    def evaluations(self) -> list[str]:
        """Return the networks that were evaluated to the end, once for each time."""
        return [path.name.split(".")[0] for path in self.directory.glob("*.by-*")]
