"""Evaluations that take their time, leave notes, and suffer what a note tells them to."""

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np

import search_spaces
from experiments.faults import memory
from nas.evaluation.evaluator import Evaluator, Metrics
from search_spaces.plan_index import Population

SPACE = search_spaces.load("mobilenet_v3_32")

_CHUNK = 16 << 20
"""Bytes that an evaluation that exhausts its memory takes at a time."""


class Noted(Evaluator):
    """Notes who evaluated what; a note named `hang` or `exhaust` makes one evaluation do so, `break` all of them.

    Args:
        directory: of the notes.
        seconds: that an evaluation takes, about.
        refused: one network in about so many cannot be evaluated; 0: each can.
    """

    metrics = ("score",)
    batch_size = 1

    def __init__(self, directory: Path, seconds: float = 0.2, refused: int = 0) -> None:
        self.space = SPACE
        self.directory = directory
        self.seconds = seconds
        self.refused = refused
        directory.mkdir(parents=True, exist_ok=True)

    def evaluate(self, population: Population) -> Metrics:
        (row,) = population
        name = "".join(map(str, row))
        total = int((row * np.arange(1, len(row) + 1)).sum())
        (self.directory / f"{name}.begun-{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(self.seconds * (0.5 + (int(row.sum()) % 5) / 5))
        if (self.directory / "break").exists():
            raise RuntimeError("all evaluations are broken")
        if self._told("hang") is not None:
            time.sleep(1000)
        if (group := self._told("exhaust")) is not None:
            _exhaust(group)
        (self.directory / f"{name}.ended-{os.getpid()}-{time.monotonic_ns()}").touch()
        if self.refused and total % self.refused == 0:
            raise ValueError(f"network {name} cannot be evaluated")
        return {"score": np.array([total / 7])}

    def tell(self, what: str, more: str = "") -> None:
        """Leave a note for an evaluation, with what else it needs to know."""
        unfinished = self.directory / f"{what}.unfinished"
        unfinished.write_text(more)
        unfinished.rename(self.directory / what)

    def _told(self, what: str) -> str | None:
        """Take a note, unless another evaluation has; return what it says."""
        mine = self.directory / f"{what}.taken-{os.getpid()}"
        try:
            return (self.directory / what).rename(mine).read_text()
        except FileNotFoundError:
            return None

    def taken(self, what: str) -> int:
        """Return how many evaluations have taken a note."""
        return len(list(self.directory.glob(f"{what}.taken-*")))

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


def _exhaust(group: str) -> None:
    """Join a group, if its file is given; take a third of the memory there is, unless somebody ends this process."""
    if group:
        Path(group).write_text(str(os.getpid()))
    taken = [np.ones(_CHUNK, np.uint8) for _ in range(memory.at_hand().available // 3 // _CHUNK)]
    raise MemoryError(f"nobody ended a process that took {sum(map(len, taken))} bytes")
