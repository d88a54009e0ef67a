"""Thousands of virtual workers under the real scheduling: what the driver spends on an evaluation, and says and keeps.

    python -m experiments.benchmarks.virtual_workers

Searches run as on a cluster, journal and all, but workers are entries in a queue of events, and time is what that queue
says; a share of them dies at work. What is measured is the driver's own processor time.
"""

import argparse
import heapq
import math
import pickle
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import search_spaces
from experiments.benchmarks.executors import SPACE, Sleep
from experiments.command import at_least_one, one_line
from experiments.report import markdown_table
from nas import strategies
from nas.evaluation.evaluator import Evaluator
from nas.executors.crew import Crew, Done, Event, Lost, Ready, Worker
from nas.executors.dispatcher import Dispatcher, Patience
from nas.executors.executor import Executor, Outcome, Service
from nas.objectives import FeasibleRegion, Objective
from nas.search import Search
from search_spaces.plan_index import Population

_START_S = 20.0


class VirtualExecutor(Executor):
    """Workers that take a virtual time for each evaluation, and die now and then.

    Attributes:
        dispatcher: the last one that served.
        crew: its workers.
    """

    def __init__(self, workers: int, seconds: float, deaths: float) -> None:
        self._workers, self._seconds, self._deaths = workers, seconds, deaths

    @contextmanager
    def serve(self, evaluator: Evaluator) -> Iterator[Service]:
        self.crew = VirtualCrew(self._seconds, self._deaths)
        self.dispatcher = Dispatcher(evaluator, self.crew, self._workers, Patience(attempts=20))
        yield self.dispatcher


class VirtualCrew(Crew):
    """Workers as events to come, earliest first.

    Attributes:
        bytes_sent: the pickled length of all messages.
        bytes_received: that of all answers.
    """

    def __init__(self, seconds: float, deaths: float) -> None:
        self._seconds, self._deaths = seconds, deaths
        self._rng = np.random.default_rng(0)
        self._time = 0.0
        self._coming: list[tuple[float, int, Event]] = []
        self._free_at: dict[Worker, float] = {}
        self._dead: set[Worker] = set()
        self._n_hired = self._n_planned = 0
        self.bytes_sent = self.bytes_received = 0

    def now(self) -> float:
        return self._time

    def hire(self) -> Worker:
        self._n_hired += 1
        self._plan(self._time + _START_S * self._rng.random(), Ready(self._n_hired))
        return self._n_hired

    def send(self, worker: Worker, batches: Sequence[Population]) -> None:
        outcomes = [Outcome({"score": batch.sum(axis=1).astype(np.float64)}) for batch in batches]
        if self._rng.random() < 0.01:  # a hundredth of the messages is weighed: that takes the driver time
            self.bytes_sent += 100 * len(pickle.dumps(batches))
            self.bytes_received += 100 * len(pickle.dumps(outcomes))
        duration = self._seconds * len(batches) * self._rng.lognormal(0, 0.3)
        dies = self._rng.random() < self._deaths
        self._free_at[worker] = max(self._time, self._free_at.get(worker, 0.0)) + duration
        done = Done(worker, outcomes, self._free_at[worker])
        self._plan(self._free_at[worker], Lost(worker, "killed") if dies else done)

    def dismiss(self, worker: Worker) -> None:
        raise AssertionError("no virtual worker hangs")

    def events(self, timeout: float) -> list[Event]:
        if not self._coming or self._coming[0][0] > self._time + timeout:
            assert timeout < math.inf
            self._time += timeout
            return []
        self._time, _, event = heapq.heappop(self._coming)
        if isinstance(event, Lost):
            self._dead.add(event.worker)
        elif event.worker in self._dead:  # what it was to do after it died
            return []
        return [event]

    def offered(self) -> str:
        return "virtual workers only"

    def _plan(self, at: float, event: Event) -> None:
        self._n_planned += 1
        heapq.heappush(self._coming, (at, self._n_planned, event))


def main() -> None:
    """Run the simulations and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--seconds", type=float, default=30.0, help="of an evaluation")
    parser.add_argument("--evaluations", type=int, default=50_000)
    parser.add_argument("--deaths", type=float, default=0.001, help="share of the messages whose worker dies")
    arguments = parser.parse_args()
    with one_line(parser.prog):
        at_least_one(workers=min(arguments.workers), evaluations=arguments.evaluations)
        rows = []
        for n in arguments.workers:
            rows.append(simulate(n, arguments.seconds, arguments.evaluations, arguments.deaths))
            print(*rows[-1], sep="; ", flush=True)
        headings = ["workers", "driver's time an evaluation", "a second at most", "workers busy", "workers lost"]
        print(markdown_table([*headings, "messages", "bytes out", "bytes back", "bytes of journal"], rows))


def simulate(workers: int, seconds: float, n: int, deaths: float) -> list[str]:
    """Return the row of a search with so many workers."""
    space = search_spaces.load(SPACE)
    executor = VirtualExecutor(workers, seconds, deaths)
    strategy = strategies.load("regularized_evolution", population=1000, batch=1000)
    with tempfile.TemporaryDirectory() as directory:
        journal = Path(directory) / "journal.jsonl"
        search = Search(
            Sleep(space, 0), strategy, [Objective("score")], FeasibleRegion(space),
            budget=n, seed=0, journal=journal, executor=executor, ahead=math.ceil(2 * workers / 1000),
        )  # fmt: skip
        start = time.process_time()
        history = search.run(progress=False)
        spent = time.process_time() - start
        n_bytes = journal.stat().st_size
    assert len(history.population) == n
    statistics, crew = executor.dispatcher.statistics, executor.crew
    busy = n * seconds * math.exp(0.3**2 / 2) / (workers * (crew.now() - _START_S))
    return [
        str(workers),
        f"{1e6 * spent / n:.0f} us",
        f"{n / spent:.0f}",
        f"{min(1.0, busy):.0%}",
        str(statistics.n_workers_lost),
        f"{statistics.n_messages / n:.3f}",
        *(f"{total / n:.0f}" for total in (crew.bytes_sent, crew.bytes_received, n_bytes)),
    ]


if __name__ == "__main__":
    main()
