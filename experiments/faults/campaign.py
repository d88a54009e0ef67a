"""Searches that something befalls, each in a directory of its own, and how they ended."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from experiments.faults.trial import Trial


@dataclass(frozen=True)
class Fault:
    """What befalls a search, and which one.

    Attributes:
        run: searches, lets it happen, goes on until the search has ended; returns how often it struck.
        longer: so many times as many networks as the other searches.
        seconds: that an evaluation takes, about.
        refused: one network in about so many cannot be evaluated; 0: each can.
    """

    run: Callable[[Trial], int]
    longer: int = 1
    seconds: float = 0.2
    refused: int = 0


@dataclass(frozen=True)
class Result:
    """How a search ended that something befell.

    Attributes:
        fault: what struck.
        n: networks that were searched for.
        n_strikes: how often it struck.
        lost: evaluations whose results never came to the journal.
        repeated: evaluations that were begun once more, for they had not ended, or nobody had heard of it.
        ended_twice: those of them that had ended: their result was under way as the fault struck.
        same: whether the journal is that of one process.
        seconds: that it took, clusters and all.
    """

    fault: str
    n: int
    n_strikes: int
    lost: int
    repeated: int
    ended_twice: int
    same: bool
    seconds: float

    def row(self) -> list[str]:
        """Return a table's row."""
        counts = (self.n, self.n_strikes, self.lost, self.repeated, self.ended_twice)
        return [self.fault, *map(str, counts), "identical" if self.same else "DIFFERENT", f"{self.seconds:.0f} s"]


def undergo(name: str, fault: Fault, directory: Path, n: int) -> Result:
    """Let a search of n networks, or of so many times as many as it takes, undergo a fault, in a new directory."""
    trial = Trial(directory, n * fault.longer, fault.seconds, fault.refused)
    start = time.monotonic()
    n_strikes = fault.run(trial)
    seconds = time.monotonic() - start
    journal, ended = trial.journal.read_bytes(), trial.evaluator.ended()
    lost = trial.n - journal.count(b"\n") + 1
    repeated, ended_twice = trial.evaluator.begun() - len(ended), ended.total() - len(ended)
    same = journal == _undisturbed(replace(trial, directory=Path(), seconds=0.0))
    return Result(name, trial.n, n_strikes, lost, repeated, ended_twice, same, seconds)


@cache
def _undisturbed(trial: Trial) -> bytes:
    """Return the journal of such a search in this process, which nothing befalls."""
    with tempfile.TemporaryDirectory() as directory:
        here = replace(trial, directory=Path(directory))
        here.search()
        return here.journal.read_bytes()
