"""A search may have several objectives and limits; what a strategy cannot serve is refused before anything runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search_spaces
from latency_predictors.cost_model import BlockCost
from nas import strategies
from nas.constraint import Constraint
from nas.objectives import FeasibleRegion, Limit, Objective, parse_budget
from nas.pareto import hypervolume
from nas.search import Search
from search_spaces import InputError, SearchSpace

MULTI_OBJECTIVE = [name for name in strategies.names() if strategies.load(name).multi_objective]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return search_spaces.load("mobilenet_v3_32", resolutions=(16,))


def cost(space: SearchSpace, seed: int = 0) -> BlockCost:
    values = np.random.default_rng(seed).uniform(0.1, 1, len(space.index.blocks))
    return BlockCost(space, "latency_ms", values)


def test_a_strategy_for_one_objective_refuses_two_and_names_those_that_can(
    space: SearchSpace, additive: Callable[..., Any]
) -> None:
    evaluator = additive(space)
    with pytest.raises(InputError, match=r"ofa_evolution serves one objective, .* use .*nsga2.*") as error:
        Search(
            evaluator,
            strategies.load("ofa_evolution"),
            [Objective("score"), Objective("loss")],
            FeasibleRegion(space),
            budget=5,
            seed=0,
        )
    assert len(str(error.value).splitlines()) == 1
    assert not evaluator.evaluated


def test_no_budget_is_refused(space: SearchSpace, additive: Callable[..., Any]) -> None:
    strategy = strategies.load("random_search")
    with pytest.raises(InputError, match="budget 0: input should be greater than or equal to 1"):
        Search(additive(space), strategy, [Objective("score")], FeasibleRegion(space), budget=0, seed=0)


@pytest.mark.parametrize("name", MULTI_OBJECTIVE)
def test_costs_are_objectives_and_limits_are_kept_by_the_front(
    name: str, space: SearchSpace, additive: Callable[..., Any], tmp_path: Path
) -> None:
    model = cost(space)
    objectives = [Objective("score"), Objective("latency_ms", maximise=False, model=model)]
    limits = [Limit("loss", at_most=0.5)]
    budget = {"optuna_gp": 11, "optuna_tpe": 15}.get(name, 60)  # with several objectives these are slow

    def run(journal: Path | None = None) -> Any:
        search = Search(
            additive(space),
            strategies.load(name),
            objectives,
            FeasibleRegion(space),
            limits=limits,
            budget=budget,
            seed=0,
            journal=journal,
        )
        return search.run(progress=False)

    history = run(tmp_path / "journal.jsonl")
    assert np.array_equal(history.population, run(tmp_path / "journal.jsonl").population)
    assert np.array_equal(history.metrics["latency_ms"], model.predict(history.population))
    best = history.front(objectives, limits)
    assert len(best)
    assert (history.metrics["loss"][best] <= 0.5).all()


# networks and seeds of strategies that take long over each; with several objectives optuna_gp takes too long
EFFORT = {"bananas": (120, 1), "optuna_tpe": (40, 1), "pnas": (200, 1), "predictor_guided": (60, 1)}


@pytest.mark.parametrize("name", [name for name in MULTI_OBJECTIVE if name not in ("random_search", "optuna_gp")])
def test_learning_dominates_more_than_random_search(
    name: str, space: SearchSpace, additive: Callable[..., Any]
) -> None:
    budget, n_seeds = EFFORT.get(name, (300, 1))

    def dominated(strategy: str, seed: int) -> float:
        model = cost(space, seed)
        objectives = [Objective("score"), Objective("latency_ms", maximise=False, model=model)]
        region = FeasibleRegion(space)
        evaluator = additive(space, seed)
        search = Search(evaluator, strategies.load(strategy), objectives, region, budget=budget, seed=seed)
        metrics = search.run(progress=False).metrics
        scores = np.stack([metrics["score"], -metrics["latency_ms"]], axis=1)
        return hypervolume(scores, np.array([-5.0, -model.dearest()[0]]))

    def mean(strategy: str) -> float:
        return float(np.mean([dominated(strategy, seed) for seed in range(n_seeds)]))

    assert mean(name) > 1.05 * mean("random_search")


def test_two_devices_are_two_metrics_and_one_name_for_both_is_refused(
    space: SearchSpace, additive: Callable[..., Any]
) -> None:
    here, there = cost(space, 0), cost(space, 1)
    strategy = strategies.load("random_search")
    bounds = [Constraint(model, parse_budget("90%", model)) for model in (here, there)]
    with pytest.raises(InputError, match="two metrics are called latency_ms"):
        Search(additive(space), strategy, [Objective("score")], FeasibleRegion(space, bounds), budget=5, seed=0)
    for name in ("row", "failure"):
        region = FeasibleRegion(space, [Constraint(there, bounds[1].bound, metric=name)])
        with pytest.raises(InputError, match=f"a metric is called {name}, as journals call something else"):
            Search(additive(space), strategy, [Objective("score")], region, budget=5, seed=0)
    bounds[1] = Constraint(there, bounds[1].bound, metric="phone_latency_ms")
    search = Search(additive(space), strategy, [Objective("score")], FeasibleRegion(space, bounds), budget=5, seed=0)
    history = search.run(progress=False)
    for name, model in (("latency_ms", here), ("phone_latency_ms", there)):
        assert np.array_equal(history.metrics[name], model.predict(history.population))
