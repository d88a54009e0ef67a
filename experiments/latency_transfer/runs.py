"""Many predictions over a few processes; their figures are kept in a file, so that a stopped comparison goes on."""

import dataclasses
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from experiments.latency_transfer.protocol import Protocol, Run
from experiments.latency_transfer.tables import FILES, read
from nas.run_directory import digest
from search_spaces.progress import progress_bar
from search_spaces.storage import Journal, require_same

Figures = dict[str, float]


def run_all(runs: Sequence[Run], data: Path, folder: Path, n_processes: int) -> dict[Run, Figures]:
    """Return the figures of all runs; those that the folder holds are not run again.

    Raises:
        InputError: the folder holds runs on other data.
    """
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder / "runs.jsonl"))
        about = {file.name: digest(file) for file in (data / name for name in FILES) if file.is_file()}
        if journal.recovered:
            require_same(f"what {journal.path} holds", journal.recovered[0], about)
        else:
            journal.append([about])
        found = {Run(**record["run"]): record["figures"] for record in journal.recovered[1:]}
        missing = [run for run in runs if run not in found]
        bar = stack.enter_context(progress_bar(len(runs), "predict", "run", done=len(runs) - len(missing)))
        if missing:
            groups = [list(group) for _, group in groupby(missing, lambda run: dataclasses.replace(run, seed=0))]
            pool = ProcessPoolExecutor(n_processes, get_context("spawn"), _start)
            stack.callback(pool.shutdown, cancel_futures=True)
            for group, results in zip(groups, pool.map(_run, groups, [data] * len(groups)), strict=True):
                pairs = list(zip(group, results, strict=True))
                journal.append([{"run": dataclasses.asdict(run), "figures": figures} for run, figures in pairs])
                found.update(pairs)
                bar.update(len(group))
    return {run: found[run] for run in runs}


def _start() -> None:
    """Make a process ready: one thread, and interrupts left to the process that waits for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)


def _run(runs: Sequence[Run], data: Path) -> list[Figures]:
    return [_protocol(data, run.space).run(run) for run in runs]


@cache
def _protocol(data: Path, space: str) -> Protocol:
    return Protocol(read(data), space)
