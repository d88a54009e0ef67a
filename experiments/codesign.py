"""Accelerators and networks searched together, under bounds on the accelerator's area and power.

    python -m experiments.codesign --run runs/digits --area-mm2 2 --watts 0.5

Takes the supernet of a finished `nas run`. The front of accuracy on shared weights and latency is searched for by a
strategy that knows nothing of accelerators, twice: with the accelerator's parameters as further choices, and for the
one accelerator within the bounds that runs the largest network fastest. Latency, energy, area and power are those of
`latency_predictors.analytic.accelerator`; nothing is measured.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import at_least_one, one_line
from experiments.report import markdown_table
from latency_predictors.analytic.codesign import CodesignSpace, codesign_costs
from nas import strategies
from nas.candidates import sought_metric
from nas.constraint import Constraint
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.evaluation.shared_weights import SharedWeights
from nas.objectives import FeasibleRegion, Objective
from nas.search import Search
from nas.search_options import SearchOptions
from nas.verbs.search import load_supernet
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

PARAMETERS = ("array_rows", "array_columns", "buffer_kib", "bandwidth_gb")
COSTS = ("latency_ms", "energy_mj", "area_mm2", "peak_watts")


class OfNetworks(Evaluator):
    """Evaluates the networks of a population, whatever they run on, each once.

    Args:
        space: of accelerators and networks.
        evaluator: of the networks.
    """

    independent = False
    space: CodesignSpace

    def __init__(self, space: CodesignSpace, evaluator: Evaluator) -> None:
        self.space, self._evaluator = space, evaluator
        self.metrics = evaluator.metrics
        self.batch_size = evaluator.batch_size  # type: ignore[misc]  # that of what is evaluated
        self._known: dict[bytes, dict[str, float]] = {}

    def evaluate(self, population: Population) -> Metrics:
        networks, _ = self.space.split(population)
        fresh = {row.tobytes(): row for row in networks if row.tobytes() not in self._known}
        if fresh:
            metrics = self._evaluator.evaluate(np.stack([*fresh.values()]))
            for i, key in enumerate(fresh):
                self._known[key] = {name: float(metrics[name][i]) for name in self.metrics}
        return {name: np.array([self._known[row.tobytes()][name] for row in networks]) for name in self.metrics}


def found(
    evaluator: OfNetworks, sought: Objective, bounds: Mapping[str, float], strategy: str, *, evaluations: int, seed: int
) -> list[dict[str, Any]]:
    """Return the networks and accelerators along the front of a metric and latency, the fastest first."""
    space, costs = evaluator.space, codesign_costs(evaluator.space)
    region = FeasibleRegion(space, [Constraint(costs[metric], bound) for metric, bound in bounds.items()])
    objectives = [sought, Objective("latency_ms", maximise=False, model=costs["latency_ms"])]
    proposing = strategies.load(strategy)
    history = Search(evaluator, proposing, objectives, region, budget=evaluations, seed=seed).run(progress=False)
    front = history.front(objectives)
    rows = [
        {
            sought.metric: float(history.metrics[sought.metric][i]),
            **{metric: float(costs[metric].predict(history.population[i : i + 1])[0]) for metric in COSTS},
            **{name: space.decode(history.population[i : i + 1])[0][name] for name in PARAMETERS},
        }
        for i in front
    ]
    return sorted(rows, key=lambda row: float(row["latency_ms"]))


def best_fixed(space: CodesignSpace, bounds: Mapping[str, float]) -> CodesignSpace:
    """Return the space with one accelerator: that within the bounds which runs the largest network fastest.

    Raises:
        InputError: no accelerator is within the bounds.
    """
    costs, n_accelerators = codesign_costs(space), len(space.accelerators.array_rows)
    parameters = np.stack(np.unravel_index(np.arange(n_accelerators), space.n_accelerator_options), axis=1)
    largest = space.network.encode([space.network.largest()])
    population = np.hstack([np.repeat(largest, n_accelerators, axis=0), parameters])
    latencies = costs["latency_ms"].predict(population)
    for metric, bound in bounds.items():
        latencies[costs[metric].predict(population) > bound] = np.inf
    if not np.isfinite(latencies).any():
        raise InputError(f"no accelerator is within {dict(bounds)}: raise a bound")
    best = space.decode(population[[int(latencies.argmin())]])[0]
    return dataclasses.replace(space, **{name: (best[name],) for name in PARAMETERS})  # type: ignore[arg-type]


def main() -> None:
    """Search both ways and print the fronts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="output directory of `nas run`")
    parser.add_argument("--area-mm2", type=float, help="largest area of the accelerator")
    parser.add_argument("--watts", type=float, help="its highest power")
    parser.add_argument("--strategy", default="predictor_guided", help="one that serves several objectives")
    parser.add_argument("--evaluations", type=int, default=200, help="of each search")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    given = {"area_mm2": arguments.area_mm2, "peak_watts": arguments.watts}
    bounds = {metric: bound for metric, bound in given.items() if bound is not None}
    with one_line(parser.prog):
        at_least_one(evaluations=arguments.evaluations)
        supernet, data = load_supernet(arguments.run / "train")
        weights, sought = SharedWeights(supernet, data), sought_metric(data, SearchOptions())
        together = CodesignSpace(supernet.space)
        for name, space in (("together", together), ("a fixed accelerator", best_fixed(together, bounds))):
            budget = {"evaluations": arguments.evaluations, "seed": arguments.seed}
            rows = found(OfNetworks(space, weights), sought, bounds, arguments.strategy, **budget)
            shown = [[f"{x:.4g}" if isinstance(x, float) else str(x) for x in row.values()] for row in rows]
            print(f"\n{name}: {space.size:.3g} candidates\n\n{markdown_table([*rows[0]], shown)}")


if __name__ == "__main__":
    main()
