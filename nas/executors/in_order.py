"""Batches are evaluated in whatever order suits the workers, and recorded in the order of the search."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from latency_predictors.cost_model import CostModel
from nas.evaluation.evaluator import Evaluator
from nas.executors.executor import Outcome, Service
from nas.recorder import Recorder
from search_spaces.plan_index import Population


@dataclass(frozen=True)
class _Batch:
    """Networks (N, choices), the first `n_recorded` of which the journal holds."""

    networks: Population
    n_recorded: int


class InOrder:
    """Hands batches to a service and their outcomes to a recorder, these in the order in which batches were taken.

    A batch that the journal holds in part is evaluated whole: last digits may depend on all of it.

    Args:
        evaluator: whose batches they are.
        costs: cost models, asked here: a prediction costs less than a message.
        service: evaluates.
        recorder: takes note.
    """

    def __init__(
        self, evaluator: Evaluator, costs: Mapping[str, CostModel], service: Service, recorder: Recorder
    ) -> None:
        self._evaluator = evaluator
        self._costs = costs
        self._service = service
        self._recorder = recorder
        self._batches: dict[int, _Batch] = {}
        self._n_taken = 0
        self._next = 0
        self._waiting: deque[int] = deque()
        self._ended: dict[int, Outcome] = {}

    def take(self, fresh: Population) -> None:
        """Take networks to evaluate, (N, choices), and let the service begin on them if it has room."""
        for start in range(0, len(fresh), self._evaluator.batch_size):
            batch = fresh[start : start + self._evaluator.batch_size]
            n_recorded = self._recorder.replay(batch)
            self._batches[self._n_taken] = _Batch(batch, n_recorded)
            if n_recorded == len(batch):
                self._ended[self._n_taken] = Outcome({})
            elif outcome := self._recorder.early(batch):
                self._ended[self._n_taken] = outcome
            else:
                self._waiting.append(self._n_taken)
            self._n_taken += 1
        self._submit()

    def until(self, n: int) -> Iterator[int]:
        """Evaluate until n networks are recorded; yield the size of each batch as it is."""
        yield from self._record()
        while len(self._recorder.rows) < n:
            self._submit()
            for number, outcome in self._service.finished():
                self._ended[number] = outcome
                if number != self._next:
                    self._recorder.keep_early(self._batches[number].networks, outcome)
                yield from self._record()

    def _submit(self) -> None:
        while self._waiting and self._service.has_room:
            number = self._waiting.popleft()
            self._service.submit(number, self._batches[number].networks)

    def _record(self) -> Iterator[int]:
        """Record what has ended, as far as nothing before it is missing."""
        while self._next in self._ended:
            batch, outcome = self._batches.pop(self._next), self._ended.pop(self._next)
            if new := len(batch.networks) - batch.n_recorded:
                costs = {name: model.predict(batch.networks) for name, model in self._costs.items()}
                metrics = {name: values[-new:] for name, values in (outcome.metrics | costs).items()}
                failures = {i - batch.n_recorded: failure for i, failure in outcome.failures.items()}
                self._recorder.record(batch.networks[-new:], metrics, {i: f for i, f in failures.items() if i >= 0})
            self._next += 1
            yield len(batch.networks)
