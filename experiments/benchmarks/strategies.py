"""What strategies themselves cost: asking for and telling of a population, beside the same in pymoo and Optuna.

    python -m experiments.benchmarks.strategies

Processor time of one thread, for which other work on the machine counts for little, without the collection of garbage,
which is that of all; everything in turns; two objectives on `mobilenet_v3_32`. Then non-dominated sorting and crowding
alone, of random scores. Takes `pip install pymoo`, as the extra `benchmarks` does.
"""

import argparse
import gc
import time
from collections.abc import Callable, Mapping

import numpy as np
from optuna.study._multi_objective import _fast_non_domination_rank
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import search_spaces
from experiments.command import at_least_one, one_line
from experiments.pymoo_nsga2 import PymooNSGA2
from nas import strategies
from nas.objectives import FeasibleRegion, Objective
from nas.pareto import crowding_distances, nondominated_ranks
from nas.strategy import Strategy
from search_spaces import SearchSpace

SPACE = "mobilenet_v3_32"
OBJECTIVES = (Objective("one"), Objective("other"))
TARGETS_MS = {"nsga2": 5.0, "regularized_evolution": 5.0, "ofa_evolution": 5.0, "predictor_guided": 1000.0}

Call = Callable[[], float]
"""Does a piece of work and returns the milliseconds that it took."""


def main() -> None:
    """Time strategies, sorting and crowding alone, and last what takes seconds."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--population", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with one_line(parser.prog):
        at_least_one(population=options.population, rounds=options.rounds)
        threadpool_limits(1)
        space, n = search_spaces.load(SPACE), options.population
        print(f"asking for and telling of {n}")
        compare(
            {
                "nsga2": begun(strategies.load("nsga2", population=n), space),
                "regularized_evolution": begun(strategies.load("regularized_evolution", population=n, batch=n), space),
                "ofa_evolution": begun(strategies.load("ofa_evolution", population=n), space),
                "pymoo NSGA-II": begun(PymooNSGA2(population=n), space),
            },
            options.rounds,
        )
        for n_objectives in (2, 3):
            print(f"ranks and crowding of {n} rows of {n_objectives} random scores (Optuna: ranks)")
            compare(sorting(n, n_objectives), options.rounds)
        print(f"asking predictor_guided for 100 at {n} known, and telling it of them")
        guided = strategies.load("predictor_guided", initial=n, batch=100, growth=0.0)
        compare({"predictor_guided": begun(guided, space)}, rounds=5)
        print(f"asking Optuna's NSGA-II for {n} trials, one after the other, and telling it of each")
        compare({"Optuna NSGA-II": optuna_generation(space, n)}, rounds=3)


def compare(rivals: Mapping[str, Call], rounds: int) -> None:
    """Print the median and the least of each rival's times; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, call in rivals.items():
            gc.collect()
            gc.disable()
            times[name].append(call())
            gc.enable()
    for name, spent in times.items():
        target = f", target {TARGETS_MS[name]:.0f} ms" if name in TARGETS_MS else ""
        print(f"  {name:24}median {np.median(spent):9.2f} ms, least {min(spent):9.2f} ms{target}")


def begun(strategy: Strategy, space: SearchSpace) -> Call:
    """Return what asks and tells once, after a first population."""
    rng = np.random.default_rng(0)
    strategy.begin(FeasibleRegion(space), OBJECTIVES if strategy.multi_objective else OBJECTIVES[:1], 0)

    def generation() -> float:
        start = time.thread_time()
        asked = strategy.ask()
        spent = time.thread_time() - start
        scores = asked[:, ::2].sum(axis=1)[:, None] * [1.0, -1.0] + rng.normal(size=(len(asked), 2))
        scores = scores[:, : len(strategy.objectives)]
        start = time.thread_time()
        strategy.tell(asked, scores)
        return 1000 * (spent + time.thread_time() - start)

    generation()
    return generation


def optuna_generation(space: SearchSpace, n: int) -> Call:
    """Return what asks Optuna's NSGA-II for n trials and tells it of each."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = np.random.default_rng(0)
    sampler = optuna.samplers.NSGAIISampler(population_size=n, seed=0)
    study = optuna.create_study(directions=["maximize", "maximize"], sampler=sampler)
    distributions = {
        choice.name: optuna.distributions.IntDistribution(0, len(choice.options) - 1) for choice in space.choices
    }

    def generation() -> float:
        start = time.thread_time()
        for noise in rng.normal(size=(n, 2)):
            trial = study.ask(distributions)  # type: ignore[arg-type]  # its dict wants the base class
            total = sum(list(trial.params.values())[::2])
            study.tell(trial, [total + noise[0], noise[1] - total])
        return 1000 * (time.thread_time() - start)

    generation()
    return generation


def sorting(n: int, n_objectives: int) -> dict[str, Call]:
    """Return what ranks rows of random scores, and finds how crowded they are."""
    scores = np.random.default_rng(0).normal(size=(n, n_objectives))

    def ours() -> object:
        return crowding_distances(scores, nondominated_ranks(scores))

    def pymoo() -> object:
        return [calc_crowding_distance(-scores[front]) for front in NonDominatedSorting().do(-scores)]

    def optuna() -> object:
        return _fast_non_domination_rank(-scores)

    return {"this project": timed(ours), "pymoo": timed(pymoo), "Optuna": timed(optuna)}


def timed(work: Callable[[], object]) -> Call:
    """Return the work as what tells how long it took."""

    def call() -> float:
        start = time.thread_time()
        work()
        return 1000 * (time.thread_time() - start)

    return call


if __name__ == "__main__":
    main()
