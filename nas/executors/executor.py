"""The contract of everything that evaluations run on, and what comes of one."""

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nas.evaluation.evaluator import Evaluator, Metrics
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

T = TypeVar("T")

SAME_FAILURES = 3
"""So many evaluations in a row that fail alike say that the evaluation is broken, not the networks."""


@dataclass(frozen=True)
class Failure:
    """Why a network could not be evaluated.

    Attributes:
        kind: the same for failures that are alike: what was raised, and where.
        trace: all that is known, for a person to read.
    """

    kind: str
    trace: str

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """Return the failure that an exception is."""
        *_, raised_in = traceback.extract_tb(error.__traceback__)
        kind = f"{type(error).__name__} at {Path(raised_in.filename).name}:{raised_in.lineno}"
        return cls(kind, "".join(traceback.format_exception(error)))


@dataclass(frozen=True)
class Outcome:
    """What came of the evaluation of a batch (N, choices).

    Attributes:
        metrics: (N,) each; NaN where a network failed.
        failures: by position in the batch, of those whose evaluation raised.
    """

    metrics: Metrics
    failures: Mapping[int, Failure] = field(default_factory=dict)

    @classmethod
    def failed(cls, evaluator: Evaluator, n: int, failure: Failure) -> "Outcome":
        """Return the outcome of a batch of n networks of which none could be evaluated."""
        return cls({name: np.full(n, np.nan) for name in evaluator.metrics}, dict.fromkeys(range(n), failure))


class Service(ABC):
    """Takes batches for one evaluator and hands back what came of them, in whatever order they end."""

    @property
    @abstractmethod
    def has_room(self) -> bool:
        """Whether another batch should be submitted now: what is more than the workers can begin on had better wait."""

    @abstractmethod
    def submit(self, number: int, batch: Population) -> None:
        """Take a batch (N, choices), with a number to know its outcome by; it may be begun on at any time."""

    @abstractmethod
    def finished(self) -> list[tuple[int, Outcome]]:
        """Return the outcomes since the last call, by number; wait for one if there are none.

        Raises:
            InputError: no evaluation can come to an end, and why.
        """


class Executor(ABC):
    """Runs evaluations somewhere; used as a context, it gives back at its end what it took."""

    @abstractmethod
    def serve(self, evaluator: Evaluator) -> AbstractContextManager[Service]:
        """Return a service for an evaluator; nothing is started before it is given work.

        Raises:
            InputError: the evaluator cannot be used there.
        """

    def measure(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function that measures, where the device is: here, unless an executor knows of another place."""
        return function(*arguments)

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027  # most take nothing
        """Give back what was taken."""


def evaluated(evaluator: Evaluator, batch: Population) -> Outcome:
    """Evaluate a batch (N, choices); networks whose evaluation raises fail, alone.

    What is no fault of theirs is raised: bad input, and errors of the system, which another worker may be spared.
    """
    try:
        return Outcome(evaluator.evaluate(batch))
    except (InputError, OSError):
        raise
    except Exception as error:
        if len(batch) == 1:
            return Outcome.failed(evaluator, 1, Failure.of(error))
    return _one_by_one(evaluator, batch)


def _one_by_one(evaluator: Evaluator, batch: Population) -> Outcome:
    """Evaluate each network of a batch by itself; once some in a row failed alike, count the rest as failed so, too."""
    outcomes: list[Outcome] = []
    for i in range(len(batch)):
        last = [outcome.failures.get(0) for outcome in outcomes[-SAME_FAILURES:]]
        kinds = {failure.kind if failure else None for failure in last}
        if len(last) == SAME_FAILURES and len(kinds) == 1 and last[-1]:
            outcomes.append(Outcome.failed(evaluator, 1, last[-1]))
        else:
            outcomes.append(evaluated(evaluator, batch[i : i + 1]))
    metrics = {name: np.concatenate([o.metrics[name] for o in outcomes]) for name in evaluator.metrics}
    return Outcome(metrics, {i: outcome.failures[0] for i, outcome in enumerate(outcomes) if outcome.failures})
