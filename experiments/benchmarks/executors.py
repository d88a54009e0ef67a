"""What it costs to evaluate on workers: efficiency by length of an evaluation, throughput of short ones, memory.

    python -m experiments.benchmarks.executors

Starts a Ray cluster on this machine. Evaluations sleep, so that a machine of two cores shows what the engine costs
eight workers; `--workers` and `--milliseconds` say other sizes.
"""

import argparse
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

import search_spaces
from experiments.command import at_least_one, one_line
from experiments.report import markdown_table
from nas import strategies
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.executors.executor import Executor
from nas.executors.local import LocalExecutor
from nas.executors.options import ClusterOptions
from nas.executors.ray_executor import RayExecutor
from nas.objectives import FeasibleRegion, Objective
from nas.search import Search
from search_spaces import SearchSpace
from search_spaces.plan_index import Population

SPACE = "mobilenet_v3_32"
EFFICIENCY, PER_SECOND = 0.9, 1000.0
"""Wanted of evaluations of 100 ms on 8 workers, and of evaluations by a table."""

_SECONDS = 4.0
"""So long a search takes, if the engine costs nothing."""

_MEGABYTES = 200


class Sleep(Evaluator):
    """Takes its time and no processor."""

    metrics = ("score",)
    batch_size = 1

    def __init__(self, space: SearchSpace, seconds: float) -> None:
        self.space = space
        self.seconds = seconds

    def evaluate(self, population: Population) -> Metrics:
        time.sleep(self.seconds)
        return {"score": population.sum(axis=1).astype(np.float64)}


class Table(Evaluator):
    """Looks networks up, some dozens at a time."""

    metrics = ("score",)
    batch_size = 64

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._values = np.random.default_rng(0).random(int(space.n_options.sum()))

    def evaluate(self, population: Population) -> Metrics:
        return {"score": (self.space.one_hot(population) * self._values).sum(axis=1)}


class Heavy(Evaluator):
    """Reads all of its weights at each evaluation, and tells the memory of its process."""

    metrics = ("process", "private_mb", "shared_mb")
    batch_size = 1

    def __init__(self, space: SearchSpace, megabytes: int) -> None:
        self.space = space
        side = 1024
        self.layers = nn.ModuleList(
            nn.Linear(side, side, bias=False) for _ in range(megabytes * 10**6 // (4 * side**2))
        )

    def evaluate(self, population: Population) -> Metrics:
        total = sum(float(parameter.sum()) for parameter in self.layers.parameters())
        assert np.isfinite(total)
        time.sleep(0.2)  # so that each worker gets some
        memory = {}
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
            name, _, kilobytes = line.partition(":")
            memory[name] = int(kilobytes.split()[0]) / 1000
        private = memory["Private_Clean"] + memory["Private_Dirty"]
        values = (os.getpid(), private, memory["Shared_Clean"] + memory["Shared_Dirty"])
        return {name: np.array([value], np.float64) for name, value in zip(self.metrics, values, strict=True)}


def main() -> None:
    """Run the benchmarks and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--milliseconds", type=float, nargs="+", default=[1.0, 10.0, 100.0])
    arguments = parser.parse_args()
    with one_line(parser.prog):
        at_least_one(workers=min(arguments.workers))
        logging.basicConfig(level=logging.WARNING)
        space = search_spaces.load(SPACE)
        print(
            markdown_table(
                ["evaluation", "workers", "evaluations", "overhead an evaluation", "efficiency"],
                [
                    row
                    for workers in [0, *arguments.workers]
                    for row in efficiencies(space, workers, arguments.milliseconds)
                ],
            )
        )
        with RayExecutor(ClusterOptions(2, threads=1)) as executor:
            print(markdown_table(["evaluations by a table", "a second"], throughputs(space, executor)))
        with RayExecutor(ClusterOptions(4, threads=1)) as executor:
            print(
                markdown_table(
                    ["supernet", "private MB of each worker", "shared MB of each worker"], memory(space, executor)
                )
            )


def efficiencies(space: SearchSpace, workers: int, milliseconds: Sequence[float]) -> list[list[str]]:
    """Return how much of the time of some workers goes into evaluations; 0 workers: of this process."""
    rows = []
    with RayExecutor(ClusterOptions(workers, threads=1)) if workers else LocalExecutor() as executor:
        _seconds(Sleep(space, 0.1), executor, 150 * max(1, workers))  # workers start, all of them
        for duration in milliseconds:
            n_each = max(10, round(_SECONDS * 1000 / duration))
            n = n_each * max(1, workers)
            seconds = _seconds(Sleep(space, duration / 1000), executor, n)
            overhead_ms = 1000 * seconds / n_each - duration
            efficiency = n_each * duration / 1000 / seconds
            rows.append(
                [f"{duration:g} ms", str(workers or "here"), str(n), f"{overhead_ms:.2f} ms", f"{efficiency:.1%}"]
            )
    return rows


def throughputs(space: SearchSpace, executor: Executor) -> list[list[str]]:
    """Return how many networks a second are looked up in a table, here and by workers."""
    n = 50_000
    _seconds(Sleep(space, 0.1), executor, 16)
    return [
        ["in this process", f"{n / _seconds(Table(space), LocalExecutor(), n):.0f}"],
        ["on 2 workers, in batches of 64", f"{n / _seconds(Table(space), executor, n):.0f}"],
    ]


def memory(space: SearchSpace, executor: Executor) -> list[list[str]]:
    """Return the memory of four workers with small and with large weights."""
    rows = []
    for megabytes in (10, _MEGABYTES):
        found = _search(Heavy(space, megabytes), executor, 48).run(progress=False).metrics
        workers = sorted({int(process) for process in found["process"]})
        last = [np.flatnonzero(found["process"] == worker)[-1] for worker in workers]
        columns = [", ".join(f"{found[name][i]:.0f}" for i in last) for name in ("private_mb", "shared_mb")]
        rows.append([f"{megabytes} MB", *columns])
    return rows


def _seconds(evaluator: Evaluator, executor: Executor, n: int) -> float:
    search = _search(evaluator, executor, n)
    start = time.perf_counter()
    history = search.run(progress=False)
    assert len(history.population) == n
    return time.perf_counter() - start


def _search(evaluator: Evaluator, executor: Executor, n: int) -> Search:
    torch.set_num_threads(1)
    strategy, objective = strategies.load("random_search", batch=256), Objective(evaluator.metrics[0])
    region = FeasibleRegion(evaluator.space)
    return Search(evaluator, strategy, [objective], region, budget=n, seed=0, executor=executor)


if __name__ == "__main__":
    main()
