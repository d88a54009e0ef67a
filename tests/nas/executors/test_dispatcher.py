"""Whatever workers do, each batch has one outcome; what kills workers or outlasts patience fails alone."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.evaluation.evaluator import Evaluator, Metrics
from nas.executors.crew import Crew, Done, Event, Lost, Ready, Worker
from nas.executors.dispatcher import Dispatcher, Patience
from nas.executors.executor import Outcome
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

_LAST = 1e9  # after this time nothing happens


class Sum(Evaluator):
    metrics = ("sum",)
    batch_size = 1

    def evaluate(self, population: Population) -> Metrics:
        return {"sum": population.sum(axis=1).astype(float)}


class Simulated(Crew):
    """Workers in a time of their own, whose fate is drawn at each message.

    Attributes:
        poison: numbers of networks that kill whoever evaluates them.
        n_silent: so many messages, the first, never come back.
        sent: the networks of each message.
    """

    def __init__(self, seed: int = 0, death: float = 0.0, hanging: float = 0.0, starts: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        self.death, self.hanging, self.starts = death, hanging, starts
        self.poison: set[int] = set()
        self.n_silent = 0
        self.sent: list[list[int]] = []
        self.n_alive = self.most_alive = self._n_hired = 0
        self._time = 0.0
        self._coming: dict[Worker, tuple[float, Event]] = {}
        self._waiting: dict[Worker, tuple[float, Sequence[Population]]] = {}

    def now(self) -> float:
        return self._time

    def hire(self) -> Worker:
        self._n_hired += 1
        self.n_alive += 1
        self.most_alive = max(self.most_alive, self.n_alive)
        ready = Ready(self._n_hired) if self.starts else Lost(self._n_hired, "it cannot import nas", broken=True)
        self._coming[self._n_hired] = (self._time + self.rng.exponential(), ready)
        return self._n_hired

    def send(self, worker: Worker, batches: Sequence[Population]) -> None:
        if worker in self._coming:
            assert worker not in self._waiting, "has its next message"
            self._waiting[worker] = self._time, batches
        else:
            self._work(worker, batches, self._time)

    def _work(self, worker: Worker, batches: Sequence[Population], begun: float) -> None:
        networks = [int(row[0]) for batch in batches for row in batch]
        self.sent.append(networks)
        dies = self.rng.random() < self.death or self.poison & set(networks)
        hangs = self.rng.random() < self.hanging or len(self.sent) <= self.n_silent
        at = math.inf if hangs else begun + self.rng.exponential(0.01)
        outcomes = [Outcome(Sum().evaluate(batch)) for batch in batches]
        self._coming[worker] = (at, Lost(worker, "killed") if dies else Done(worker, outcomes, at))

    def dismiss(self, worker: Worker) -> None:
        self._coming.pop(worker, None)
        self._waiting.pop(worker, None)
        self.n_alive -= 1

    def events(self, timeout: float) -> list[Event]:
        worker = min(self._coming, key=lambda worker: self._coming[worker][0], default=None)
        if worker is None or self._coming[worker][0] > min(self._time + timeout, _LAST):
            assert timeout < math.inf, "nobody will ever come"
            self._time += timeout
            return []
        at, event = self._coming.pop(worker)
        self._time = max(self._time, at)
        waiting = self._waiting.pop(worker, None)
        if isinstance(event, Lost):
            self.n_alive -= 1
        elif waiting is not None:
            sent, batches = waiting
            self._work(worker, batches, max(at, sent))
        return [event]

    def offered(self) -> str:
        return "nothing"

    def pass_time(self, seconds: float) -> None:
        self._time += seconds


def dispatch(
    crew: Simulated, n: int, n_workers: int, patience: Patience, between_calls_s: float = 0.0
) -> dict[int, float]:
    dispatcher = Dispatcher(Sum(), crew, n_workers, patience)
    found: dict[int, float] = {}
    submitted = 0
    while len(found) < n:
        while submitted < n and dispatcher.has_room:
            dispatcher.submit(submitted, np.array([[submitted]]))
            submitted += 1
        crew.pass_time(between_calls_s)
        for number, outcome in dispatcher.finished():
            assert number not in found
            found[number] = float(outcome.metrics["sum"][0])
    return found


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 200), st.floats(0, 0.4), st.floats(0, 0.2))
def test_each_batch_has_its_outcome_whatever_dies_or_hangs(
    seed: int, n_workers: int, n: int, death: float, hanging: float
) -> None:
    crew = Simulated(seed, death, hanging)
    found = dispatch(crew, n, n_workers, Patience(timeout_s=1.0, attempts=1000))
    assert found == {i: float(i) for i in range(n)}
    assert crew.most_alive <= n_workers


def test_what_kills_its_workers_fails_alone() -> None:
    crew = Simulated()
    crew.poison = {17, 40}
    found = dispatch(crew, 100, 4, Patience(attempts=3))
    assert {i for i, value in found.items() if math.isnan(value)} == crew.poison
    fatal = [networks for networks in crew.sent if crew.poison & set(networks)]
    assert len(fatal) == 6
    assert sum(len(networks) > 1 for networks in fatal) <= 2, "sent again, it is sent alone"


@pytest.mark.parametrize("between_calls_s", [0.0, 10.0])
def test_short_evaluations_are_sent_together_and_the_last_ones_are_not(between_calls_s: float) -> None:
    crew = Simulated()
    dispatch(crew, 2000, 4, Patience(), between_calls_s)
    assert len(crew.sent) < 1000
    assert max(map(len, crew.sent)) > 3
    assert {len(networks) for networks in crew.sent[-3:]} == {1}


def test_no_more_workers_are_hired_than_there_is_work_for() -> None:
    crew = Simulated()
    dispatch(crew, 3, 50, Patience())
    assert crew.most_alive <= 3


def test_workers_that_cannot_start_end_the_search_and_so_do_workers_that_never_come() -> None:
    with pytest.raises(InputError, match="3 workers in a row did not start: it cannot import nas"):
        dispatch(Simulated(starts=False), 10, 5, Patience())
    crew = Simulated()
    crew.hire = lambda: "never ready"  # type: ignore[method-assign]
    with pytest.raises(InputError, match="no worker came within 300 s: nothing"):
        dispatch(crew, 10, 1, Patience())


def test_workers_that_are_lost_as_they_start_are_asked_for_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    crew = Simulated()
    hired: list[float] = []

    def hire() -> Worker:
        hired.append(crew.now())
        crew.n_alive += 1
        started = Ready(len(hired)) if crew.now() > 60 else Lost(len(hired), "creation cancelled")
        crew._coming[len(hired)] = (crew.now() + 0.001, started)
        return len(hired)

    crew.hire = hire  # type: ignore[method-assign]
    assert dispatch(crew, 3, 1, Patience()) == {i: float(i) for i in range(3)}
    assert len(hired) < 20
    assert "no worker yet, waiting for 300 s at most: nothing; the last was lost: creation cancelled" in caplog.text
    hired.clear()
    crew = Simulated()
    crew.hire = hire  # type: ignore[method-assign]
    with pytest.raises(InputError, match="no worker came within 30 s: nothing; the last was lost: creation cancelled"):
        dispatch(crew, 3, 1, Patience(start_s=30.0))


def test_patience_grows_with_what_evaluations_take() -> None:
    crew = Simulated(hanging=0.05)
    dispatch(crew, 200, 4, Patience())  # a timeout of its own choosing
    assert crew.now() > 300


def test_where_the_first_messages_hang_the_first_answer_limits_them_and_a_person_is_told_of_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crew = Simulated()
    crew.n_silent = 3
    assert len(dispatch(crew, 20, 4, Patience())) == 20
    assert 300 < crew.now() < 310
    assert not caplog.text
    crew = Simulated()
    crew.n_silent = 4
    with pytest.raises(AssertionError, match="nobody will ever come"):
        dispatch(crew, 20, 4, Patience())
    assert 300 <= crew.now() < 302
    assert caplog.text.count("no evaluation has ended within 300 s") == 1
    assert "timeout_s" in caplog.text
