"""What a population's cost takes to predict here, by a copy of the cost model, and by a named actor of a Ray cluster.

    python -m experiments.benchmarks.cost_models

Starts a Ray cluster on this machine. The actor is asked as a driver would ask it: the population goes there, the costs
come back, arrays by the object store where they are large. Both take turns (A B, B A, ...); medians are printed.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import ray
import torch
from numpy.typing import NDArray

import search_spaces
from experiments.command import at_least_one, one_line
from experiments.report import markdown_table
from latency_predictors.cost_model import BlockCost, CostModel
from latency_predictors.learned.features import Features
from latency_predictors.learned.learned_latency import LearnedLatency
from nas.executors.options import ClusterOptions
from nas.executors.ray_executor import RayExecutor
from search_spaces import SearchSpace
from search_spaces.plan_index import Population

SPACE = "mobilenet_v3_32"
_ACTOR = "cost-model"
_MEASURED = 100


@ray.remote
class _Served:
    """An actor that holds a cost model."""

    def __init__(self, model: CostModel) -> None:
        self._model = model

    def predict(self, population: Population) -> NDArray[np.float64]:
        return self._model.predict(population)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--populations", type=int, nargs="+", default=[1, 100, 10_000])
    parser.add_argument("--turns", type=int, default=20, help="predictions of each side")
    arguments = parser.parse_args()
    with one_line(parser.prog):
        at_least_one(populations=min(arguments.populations), turns=arguments.turns)
        torch.set_num_threads(1)
        space = search_spaces.load(SPACE)
        rows = []
        with RayExecutor(ClusterOptions(1, threads=1)):
            for name, model in cost_models(space).items():
                for n in arguments.populations:
                    population = space.sample(n, np.random.default_rng(0))
                    here, there = compare(model, population, arguments.turns)
                    rows.append([name, f"{n:,}", _milliseconds(here), _milliseconds(there), f"{there / here:.1f}"])
        print(markdown_table(["cost model", "population", "copy here", "named actor", "times as long"], rows))


def cost_models(space: SearchSpace) -> Mapping[str, CostModel]:
    """Return a model as a latency table gives it, and the best regression of a hundred networks; of invented values."""
    rng = np.random.default_rng(0)
    table = BlockCost(space, "latency_ms", rng.uniform(0.1, 1.0, len(space.index.blocks)))
    measured = space.sample(_MEASURED, rng)
    latencies_ms = table.predict(measured) * rng.normal(1.0, 0.02, _MEASURED)
    learned = LearnedLatency.fit(Features(space), measured, latencies_ms)
    return {"latency table": table, f"predictor ({learned.kind})": learned}


def compare(model: CostModel, population: Population, n_turns: int) -> tuple[float, float]:
    """Return the median seconds of a prediction by a copy here, and by an actor."""
    served = _Served.options(name=_ACTOR, num_cpus=1).remote(model)  # type: ignore[attr-defined]
    sides: dict[str, Callable[[], NDArray[np.float64]]] = {
        "here": partial(model.predict, population),
        "there": lambda: ray.get(ray.get_actor(_ACTOR).predict.remote(population)),
    }
    assert np.array_equal(sides["here"](), sides["there"]())
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(n_turns):
        for side in sorted(sides, reverse=turn % 2 == 1):
            start = time.perf_counter()
            sides[side]()
            seconds[side].append(time.perf_counter() - start)
    ray.kill(served)
    return statistics.median(seconds["here"]), statistics.median(seconds["there"])


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


if __name__ == "__main__":
    main()
