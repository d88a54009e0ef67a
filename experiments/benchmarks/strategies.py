"""What strategies themselves cost: asking for and telling of a population, beside the same in pymoo.

    python -m experiments.benchmarks.strategies

One thread; two objectives on `mobilenet_v3_32`. pymoo is timed if it is installed (`pip install pymoo`).
"""

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import search_spaces
from nas import strategies
from nas.objectives import FeasibleRegion, Objective
from nas.strategy import Strategy
from search_spaces import SearchSpace

SPACE = "mobilenet_v3_32"
OBJECTIVES = (Objective("one"), Objective("other"))
TARGETS_MS = {"nsga2": 5.0, "regularized_evolution": 5.0, "predictor_guided": 1000.0}


def main() -> None:
    """Time evolution, NSGA-II and predictor-guided proposals, and pymoo's NSGA-II."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--population", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    threadpool_limits(1)
    space, n = search_spaces.load(SPACE), options.population
    rivals: dict[str, Callable[[], float]] = {
        "nsga2": begun("nsga2", space, population=n),
        "regularized_evolution": begun("regularized_evolution", space, population=n, batch=n),
        "predictor_guided": begun("predictor_guided", space, initial=n, batch=100, growth=0.0),
    }
    if importlib.util.find_spec("pymoo"):
        rivals["pymoo NSGA-II"] = pymoo_generation(space, n)
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(options.rounds):
        for name, generation in rivals.items():
            times[name].append(generation())
    best = {name: min(spent) for name, spent in times.items()}
    for name, spent in times.items():
        target = f", target {TARGETS_MS[name]:.0f} ms" if name in TARGETS_MS else ""
        ratio = f"{best[name] / best['nsga2']:.1f} times nsga2"
        print(f"{name:24}{best[name]:9.2f} ms (median {np.median(spent):.2f}), {ratio}{target}")


def begun(name: str, space: SearchSpace, **options: object) -> Callable[[], float]:
    """Return what asks and tells once and returns the milliseconds of it, after a first population."""
    rng = np.random.default_rng(0)
    strategy: Strategy = strategies.load(name, **options)
    strategy.begin(FeasibleRegion(space), OBJECTIVES, 0)

    def generation() -> float:
        start = time.perf_counter()
        asked = strategy.ask()
        spent = time.perf_counter() - start
        scores = asked[:, ::2].sum(axis=1)[:, None] * [1.0, -1.0] + rng.normal(size=(len(asked), 2))
        start = time.perf_counter()
        strategy.tell(asked, scores)
        return 1000 * (spent + time.perf_counter() - start)

    generation()
    return generation


def pymoo_generation(space: SearchSpace, n: int) -> Callable[[], float]:
    """Return the same for pymoo's NSGA-II on integers."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.evaluator import Evaluator
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.ux import UX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.problems.static import StaticProblem

    rng = np.random.default_rng(0)
    problem = Problem(n_var=len(space.choices), n_obj=2, xl=0, xu=space.n_options - 1, vtype=int)
    algorithm = NSGA2(
        pop_size=n,
        sampling=IntegerRandomSampling(),
        crossover=UX(repair=RoundingRepair()),
        mutation=PM(vtype=float, repair=RoundingRepair()),
    )
    algorithm.setup(problem, termination=("n_gen", 1_000_000), seed=0, verbose=False)

    def generation() -> float:
        start = time.perf_counter()
        asked = algorithm.ask()
        spent = time.perf_counter() - start
        total = asked.get("X")[:, ::2].sum(axis=1)[:, None]
        Evaluator().eval(StaticProblem(problem, F=total * [-1.0, 1.0] + rng.normal(size=(len(asked), 2))), asked)
        start = time.perf_counter()
        algorithm.tell(infills=asked)
        return 1000 * (spent + time.perf_counter() - start)

    generation()
    return generation


if __name__ == "__main__":
    main()
