"""Evaluations in this process, one batch after the other."""

from collections.abc import Iterator
from contextlib import contextmanager

from nas.evaluation.evaluator import Evaluator
from nas.executors.executor import Executor, Outcome, Service, evaluated
from search_spaces.plan_index import Population


class LocalExecutor(Executor):
    """Evaluates in the process that searches."""

    @contextmanager
    def serve(self, evaluator: Evaluator) -> Iterator[Service]:
        yield _LocalService(evaluator)


class _LocalService(Service):
    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._waiting: list[tuple[int, Population]] = []

    @property
    def has_room(self) -> bool:
        return not self._waiting

    def submit(self, number: int, batch: Population) -> None:
        self._waiting.append((number, batch))

    def finished(self) -> list[tuple[int, Outcome]]:
        number, batch = self._waiting.pop(0)
        return [(number, evaluated(self._evaluator, batch))]
