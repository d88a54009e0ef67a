"""How long Once-for-All's evolution takes with an accuracy predictor and a cost over blocks: 100 networks x 500 rounds.

    python -m experiments.benchmarks.evolution

One core. The predictor is fitted to random accuracies and the blocks have random costs, which costs what real ones do.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import search_spaces
from experiments.command import at_least_one, one_line
from latency_predictors.cost_model import BlockCost
from nas import strategies
from nas.constraint import Constraint
from nas.evaluation.accuracy_predictor import AccuracyPredictor
from nas.objectives import FeasibleRegion, Objective, parse_budget
from nas.search import Search
from search_spaces import SearchSpace
from search_spaces.storage import Journal

SPACE = "ofa_mobilenet_v3"
TARGET_S = 2.0

N_FITTED = 200
"""Networks that the predictor is fitted to, as many as `nas search` evaluates."""


def make_search(space: SearchSpace, budget: str, population: int, generations: int, journal: Path | None) -> Search:
    """Return a search of all generations."""
    rng = np.random.default_rng(0)
    predictor = AccuracyPredictor.fit(space, space.sample(N_FITTED, rng), rng.random(N_FITTED), seed=0)
    model = BlockCost(space, "latency_ms", rng.random(len(space.index.blocks)), constant=0.1, margin=0.02)
    region = FeasibleRegion(space, [Constraint(model, parse_budget(budget, model))])
    strategy = strategies.load("ofa_evolution", population=population)
    n_networks = population * (generations + 1)
    objectives = [Objective("predicted_accuracy")]
    return Search(predictor, strategy, objectives, region, budget=n_networks, seed=0, journal=journal)


class Shares:
    """Seconds spent in some functions, each without those that it calls among the others."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._entered = time.perf_counter()
        self._running = ["all else"]

    def _switch(self) -> None:
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._entered
        self._entered = now

    def watched(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, whose time counts under a label."""

        def call(*arguments: Any, **options: Any) -> Any:
            self._switch()
            self._running.append(label)
            result = function(*arguments, **options)
            self._switch()
            self._running.pop()
            return result

        return call

    @contextmanager
    def of(self, search: Search) -> Iterator[None]:
        """Watch the parts of a search while the context lasts."""
        (constraint,) = search.region.constraints
        parts = (
            ("propose", type(search.strategy), "_ask"),
            ("learn", type(search.strategy), "_tell"),
            ("canonical form", type(search.region.space), "canonical"),
            ("predict accuracy", type(search.evaluator), "evaluate"),
            ("predict cost", type(constraint.model), "predict"),
            ("write journal", Journal, "append"),
        )
        with ExitStack() as stack:
            for label, owner, name in parts:
                stack.enter_context(patch.object(owner, name, self.watched(label, getattr(owner, name))))
            self._entered = time.perf_counter()
            yield
            self._switch()


def main() -> None:
    """Time the evolution with and without a journal, and tell where the time goes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--population", type=int, default=100)
    parser.add_argument("--generations", type=int, default=500)
    parser.add_argument("--budget", default="40%", help="from the cheapest network to the dearest")
    parser.add_argument("--runs", type=int, default=5, help="runs of each side, in turns")
    options = parser.parse_args()
    with one_line(parser.prog):
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Search, print."""
    at_least_one(population=options.population, generations=options.generations, runs=options.runs)
    threadpool_limits(1)
    space = search_spaces.load(SPACE)
    seconds: dict[str, list[float]] = {"without journal": [], "with journal": []}
    with tempfile.TemporaryDirectory() as directory:
        journals = (Path(directory) / f"{number}.jsonl" for number in range(options.runs + 1))

        def search(journal: Path | None) -> Search:
            return make_search(space, options.budget, options.population, options.generations, journal)

        for _ in range(options.runs):
            for side in seconds:
                made = search(next(journals) if side == "with journal" else None)
                start = time.perf_counter()
                history = made.run(progress=False)
                seconds[side].append(time.perf_counter() - start)
        shares, made = Shares(), search(next(journals))
        with shares.of(made):
            made.run(progress=False)
    print(f"{SPACE}, {options.population} x {options.generations}, budget {options.budget}, one core:", end=" ")
    print(f"{len(history.population):,} distinct networks")
    for side, runs in seconds.items():
        print(f"{side:20}{statistics.median(runs):8.2f} s  ({min(runs):.2f} to {max(runs):.2f}, {len(runs)} runs)")
    print(f"{'target':20}{TARGET_S:8.2f} s")
    total = sum(shares.seconds.values())
    for label, spent in sorted(shares.seconds.items(), key=lambda item: -item[1]):
        print(f"  {label:18}{spent:8.2f} s{spent / total:7.0%}")


if __name__ == "__main__":
    main()
