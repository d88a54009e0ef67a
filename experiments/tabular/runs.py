"""Many searches over a few processes; what each evaluated is kept in files, so that a killed comparison goes on."""

import dataclasses
import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from experiments import rivals
from experiments.tabular.protocol import BUDGETS, Problem
from experiments.tabular.table import Benchmark, read_table
from nas.run_directory import digest
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar
from search_spaces.storage import Journal, require_same


@dataclass(frozen=True)
class Run:
    """One search: which strategy, for what (as in `Problem`), with which seed."""

    strategy: str
    accuracy: str
    latency: str
    limit: float | None
    seed: int


@dataclass(frozen=True)
class Found:
    """What a search evaluated, as places in the table (n,) in order, and the processor time that it took."""

    places: NDArray[np.int64]
    seconds: float


def search_all(runs: Sequence[Run], benchmark: Benchmark, folder: Path, n_processes: int) -> dict[Run, Found]:
    """Return what all searches found; those that the folder holds are not run again.

    Writes `STRATEGY.jsonl`, a line a search. Whatever the number of processes, the searches are the same.

    Raises:
        InputError: the folder holds searches of other data, or by another form of a strategy.
    """
    with ExitStack() as stack:
        journals = {name: stack.enter_context(Journal(folder / f"{name}.jsonl")) for name in {r.strategy for r in runs}}
        found = dict(_recorded(journals, benchmark))
        missing = [run for run in runs if run not in found]
        bar = stack.enter_context(progress_bar(len(runs), "compare", "search", done=len(runs) - len(missing)))
        pool = ProcessPoolExecutor(n_processes, get_context("spawn"), _start)
        stack.callback(pool.shutdown, cancel_futures=True)
        futures = {pool.submit(_search, run, benchmark): run for run in missing}
        for future in as_completed(futures):
            run, found[futures[future]] = futures[future], future.result()
            record = {"places": found[run].places.tolist(), "seconds": round(found[run].seconds, 3)}
            journals[run.strategy].append([dataclasses.asdict(run) | record])
            bar.update()
    return {run: found[run] for run in runs}


def _recorded(journals: Mapping[str, Journal], benchmark: Benchmark) -> list[tuple[Run, Found]]:
    """Return what journals hold; new ones get the line that says what they are about."""
    data = dataclasses.asdict(benchmark) | {"files": {file.name: digest(file) for file in benchmark.files}}
    found = []
    for name, journal in journals.items():
        about = {"strategy": _plain(name), "budget": max(BUDGETS), "data": data}
        if not journal.recovered:
            journal.append([about])
            continue
        _require_same_files(journal, data["files"])
        require_same(f"what {journal.path} holds", journal.recovered[0], about)
        for record in journal.recovered[1:]:
            places, seconds = np.array(record.pop("places"), np.int64), record.pop("seconds")
            found.append((Run(**record), Found(places, seconds)))
    return found


def _require_same_files(journal: Journal, files: Mapping[str, str]) -> None:
    """Raise unless a journal is of these files: digests by name."""
    theirs: Mapping[str, str] = journal.recovered[0].get("data", {}).get("files", {})
    if theirs != files:
        names, other = " and ".join(files), " and ".join(theirs)
        told = f"a file {names} of other content" if names == other else f"{other}, not of {names}"
        raise InputError(f"what {journal.path} holds is of {told}: use the same, or another output directory")


def _plain(name: str) -> dict[str, Any]:
    return {"name": name, **dataclasses.asdict(rivals.load(name))}  # type: ignore[call-overload]  # each is one


def _start() -> None:
    """Make a process ready: one thread, and interrupts left to the process that waits for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)


def _search(run: Run, benchmark: Benchmark) -> Found:
    problem, strategy = _problem(benchmark, run.accuracy, run.latency, run.limit), rivals.load(run.strategy)
    start = time.process_time()
    places = problem.search(strategy, run.seed)
    return Found(places, time.process_time() - start)


@cache
def _problem(benchmark: Benchmark, accuracy: str, latency: str, limit: float | None) -> Problem:
    return Problem(read_table(benchmark, [accuracy, latency]), accuracy, latency, limit)
