"""Who evaluates what: batches to workers that come, hang and die, each until it has an outcome.

Knows nothing of Ray: it drives a `Crew`, of which a simulation is another one.
"""

import heapq
import logging
import math
from collections import deque
from dataclasses import dataclass, field

from nas.evaluation.evaluator import Evaluator
from nas.executors.crew import Crew, Done, Event, Ready, Worker
from nas.executors.executor import Failure, Outcome, Service
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

_MESSAGE_SECONDS = 0.05
"""So long should a worker work on a message: beside that, a millisecond to send it does not count."""

_QUEUE_PER_WORKER = 64
"""Batches that wait for each worker at most; what is more stays with who asked."""

_HANGS_AFTER, _HANGS_AT_LEAST = 10.0, 300.0
"""A worker hangs that takes so many times as long as any has taken, and so many seconds."""

_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
"""So long after one was lost that had not started are workers asked for again, then twice as long each time."""

_TOLD_AFTER_S = 10.0
"""After so long without any worker a person is told what is waited for."""

_FAILED_STARTS = 3
"""So many workers in a row that cannot be started say that none can."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """When a worker or an evaluation is given up.

    Attributes:
        timeout_s: longest time of one batch's evaluation; None: ten times the longest yet, and five minutes at least;
            before the first answer there is no limit.
        attempts: workers that a batch may outlive before it counts as failed.
        start_s: longest time without any worker.
    """

    timeout_s: float | None = None
    attempts: int = 4
    start_s: float = 300.0


@dataclass
class _Task:
    number: int
    batch: Population
    n_lost: int = 0


@dataclass
class _Message:
    tasks: list[_Task]
    begun: float  # not before it was sent, nor before the worker was done with what it was sent before


@dataclass
class Statistics:
    """What it took: batches that were sent again, and workers that were lost, since the dispatcher was made."""

    n_sent_again: int = 0
    n_workers_lost: int = 0
    n_messages: int = 0
    reasons: list[str] = field(default_factory=list)


class Dispatcher(Service):
    """Keeps a number of workers busy; what one was sent and did not finish, another one gets.

    A message holds so many batches as take about 50 ms, fewer towards the end of what waits, so that no worker ends
    long after the others. While much waits, a worker has its next message before it is done with the first. What was
    lost with a worker is sent alone: one batch that kills workers takes no other along.

    Args:
        evaluator: names the metrics of what fails.
        crew: the workers.
        n_workers: so many of them.
        patience: when they are given up.
    """

    def __init__(self, evaluator: Evaluator, crew: Crew, n_workers: int, patience: Patience) -> None:
        self._evaluator = evaluator
        self._crew = crew
        self._n_workers = n_workers
        self._patience = patience
        self._queue: deque[_Task] = deque()
        self._starting: set[Worker] = set()
        self._idle: deque[Worker] = deque()
        self._busy: dict[Worker, deque[_Message]] = {}
        self._single: dict[Worker, None] = {}  # in order, those that may have but one message
        self._outcomes: list[tuple[int, Outcome]] = []
        self._deadlines: list[tuple[float, int, Worker, _Message]] = []
        self._batch_s = self._longest_s = 0.0
        self._first_begun = math.inf
        self._failed_starts = self._n_limited = 0
        self._alone_since: float | None = None
        self._is_told = self._is_silence_told = False
        self._hires_again, self._pause_s = -math.inf, _PAUSE_S
        self.statistics = Statistics()

    @property
    def has_room(self) -> bool:
        return len(self._queue) < _QUEUE_PER_WORKER * self._n_workers

    def submit(self, number: int, batch: Population) -> None:
        self._queue.append(_Task(number, batch))

    def finished(self) -> list[tuple[int, Outcome]]:
        while not self._outcomes:
            self._hire()
            self._send()
            wakes = min(self._next_deadline(), self._silence_told_at())
            if self._hires_again > self._crew.now():
                wakes = min(wakes, self._hires_again)
            for event in self._crew.events(max(0.0, wakes - self._crew.now())):
                self._heed(event)
            self._give_up()
            self._tell_what_is_waited_for()
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _hire(self) -> None:
        """Ask for as many workers as are wanted and are of use."""
        n_known = len(self._starting) + len(self._idle) + len(self._busy)
        if not self._idle and not self._busy and self._alone_since is None:
            self._alone_since = self._crew.now()
        if self._crew.now() < self._hires_again:
            return
        n_useful = len(self._queue) + len(self._busy)
        for _ in range(min(self._n_workers, n_useful) - n_known):
            self._starting.add(self._crew.hire())

    def _send(self) -> None:
        while self._queue and self._idle:
            worker = self._idle.popleft()
            self._busy[worker] = deque()
            self._send_to(worker)
            self._begin(worker, self._crew.now())
            self._single[worker] = None
        while len(self._queue) >= self._n_workers and self._single:
            worker = next(iter(self._single))
            del self._single[worker]
            if len(self._busy.get(worker, ())) == 1:
                self._send_to(worker)

    def _send_to(self, worker: Worker) -> None:
        tasks = self._next_tasks()
        self._busy[worker].append(_Message(tasks, self._crew.now()))
        self.statistics.n_messages += 1
        self._crew.send(worker, [task.batch for task in tasks])

    def _begin(self, worker: Worker, free_since: float) -> None:
        """Let the time of a worker's first message run."""
        message = self._busy[worker][0]
        message.begun = max(message.begun, free_since)
        self._first_begun = min(self._first_begun, message.begun)
        self._limit(worker)

    def _limit(self, worker: Worker) -> None:
        """Say when a worker's first message is given up."""
        message = self._busy[worker][0]
        deadline = message.begun + self._allowed_s() * len(message.tasks)
        self._n_limited += 1
        heapq.heappush(self._deadlines, (deadline, self._n_limited, worker, message))

    def _next_tasks(self) -> list[_Task]:
        by_time = _MESSAGE_SECONDS / self._batch_s if self._batch_s else 1
        n_wanted = max(1, min(int(by_time), math.ceil(len(self._queue) / (2 * self._n_workers))))
        tasks = [self._queue.popleft()]
        while len(tasks) < n_wanted and not tasks[0].n_lost and not self._queue[0].n_lost:
            tasks.append(self._queue.popleft())
        return tasks

    def _allowed_s(self) -> float:
        if self._patience.timeout_s is not None:
            return self._patience.timeout_s
        return max(_HANGS_AT_LEAST, _HANGS_AFTER * self._longest_s) if self._longest_s else math.inf

    def _next_deadline(self) -> float:
        while self._deadlines and not self._is_first(*self._deadlines[0][2:]):
            heapq.heappop(self._deadlines)  # was answered
        if self._deadlines:
            return self._deadlines[0][0]
        return math.inf if self._alone_since is None else self._alone_since + self._patience.start_s

    def _is_first(self, worker: Worker, message: _Message) -> bool:
        return worker in self._busy and self._busy[worker][0] is message

    def _heed(self, event: Event) -> None:
        worker = event.worker
        if isinstance(event, Ready):
            self._starting.discard(worker)
            self._failed_starts, self._pause_s = 0, _PAUSE_S
            self._alone_since = None
            self._idle.append(worker)
        elif isinstance(event, Done):
            self._take(event)
        else:
            self._lose(worker, event.why, event.broken)

    def _take(self, answer: Done) -> None:
        """Take what came of a worker's first message, and note how long it took."""
        worker, had_limit = answer.worker, self._allowed_s() < math.inf
        message = self._busy[worker].popleft()
        numbers = [task.number for task in message.tasks]
        self._outcomes += zip(numbers, answer.outcomes, strict=True)
        seconds = (answer.at - message.begun) / len(message.tasks)
        self._batch_s = seconds if not self._batch_s else 0.8 * self._batch_s + 0.2 * seconds
        self._longest_s = max(self._longest_s, seconds)
        if self._busy[worker]:
            self._begin(worker, answer.at)
            self._single[worker] = None
        else:
            del self._busy[worker]
            self._idle.append(worker)
        if not had_limit:
            for other in self._busy:
                self._limit(other)

    def _lose(self, worker: Worker, why: str, broken: bool) -> None:
        self.statistics.n_workers_lost += 1
        self.statistics.reasons.append(why)
        if worker in self._starting:
            self._starting.discard(worker)
            self._failed_starts += 1 if broken else 0
            self._hires_again = self._crew.now() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            if self._failed_starts >= _FAILED_STARTS:
                raise InputError(f"{_FAILED_STARTS} workers in a row did not start: {why}")
        elif messages := self._busy.pop(worker, None):
            first, *waiting = messages
            for message in waiting:
                self._queue.extendleft(reversed(message.tasks))
            for task in reversed(first.tasks):
                self._send_again(task, why)
        else:
            self._idle.remove(worker)

    def _send_again(self, task: _Task, why: str) -> None:
        task.n_lost += 1
        if task.n_lost < self._patience.attempts:
            self._queue.appendleft(task)
            self.statistics.n_sent_again += 1
        else:
            failure = Failure("worker lost", f"{self._patience.attempts} workers were lost that evaluated it: {why}")
            self._outcomes.append((task.number, Outcome.failed(self._evaluator, len(task.batch), failure)))

    def _give_up(self) -> None:
        """Part with workers that hang, and with all hope where there has long been none."""
        while self._next_deadline() <= (now := self._crew.now()):
            if self._alone_since is not None:
                raise InputError(f"no worker came within {self._patience.start_s:.0f} s: {self._why_none()}")
            _, _, worker, message = self._deadlines[0]
            self._crew.dismiss(worker)
            self._lose(worker, f"it did not answer for {now - message.begun:.0f} s", broken=False)

    def _tell_what_is_waited_for(self) -> None:
        since = self._alone_since
        if since is not None and not self._is_told and self._crew.now() - since > _TOLD_AFTER_S:
            self._is_told = True
            logger.warning("no worker yet, waiting for %.0f s at most: %s", self._patience.start_s, self._why_none())

        if self._crew.now() >= self._silence_told_at():
            self._is_silence_told = True
            logger.warning(
                "no evaluation has ended within %.0f s, and until one does there is no limit: where the first ones may "
                "hang, end this and run it again with timeout_s",
                _HANGS_AT_LEAST,
            )

    def _silence_told_at(self) -> float:
        """Return when a person is told that nothing has come back yet: what hangs now would hang for ever."""
        is_due = self._allowed_s() == math.inf and self._busy and not self._is_silence_told
        return self._first_begun + _HANGS_AT_LEAST if is_due else math.inf

    def _why_none(self) -> str:
        lost = f"; the last was lost: {self.statistics.reasons[-1]}" if self.statistics.reasons else ""
        return self._crew.offered() + lost
