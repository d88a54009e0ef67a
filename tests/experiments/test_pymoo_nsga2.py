"""pymoo's NSGA-II runs as a strategy: within the region, deterministic, and to an end."""

import numpy as np
import pytest

pytest.importorskip("pymoo")

from pymoo.core.population import Population as PymooPopulation

import search_spaces
from experiments.pymoo_nsga2 import PymooNSGA2
from experiments.tabular.table import TableSpace
from latency_predictors.cost_model import BlockCost
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.objectives import Constraint, FeasibleRegion, Objective, parse_budget
from nas.search import History, Search
from search_spaces import SearchSpace
from search_spaces.plan_index import Population


class Sums(Evaluator):
    metrics = ("sum", "alternating")
    batch_size = 100

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    def evaluate(self, population: Population) -> Metrics:
        total = population.sum(axis=1).astype(float)
        return {"sum": total, "alternating": 2 * population[:, ::2].sum(axis=1) - total}


def search(region: FeasibleRegion, budget: int, first: Population | None = None) -> History:
    objectives = [Objective("sum"), Objective("alternating")]
    strategy = PymooNSGA2(population=20)
    found = Search(Sums(region.space), strategy, objectives, region, budget=budget, seed=0, first=first)
    return found.run(progress=False)


def test_it_proposes_networks_of_the_region_the_same_for_a_seed() -> None:
    space = search_spaces.load("mobilenet_v3_32")
    model = BlockCost(space, "latency_ms", np.random.default_rng(0).uniform(0.1, 1, len(space.index.blocks)))
    region = FeasibleRegion(space, [Constraint(model, parse_budget("30%", model))])
    found = search(region, 100)
    assert len(found.population) == 100
    assert region.contains(found.population).all()
    assert np.array_equal(search(region, 100).population, found.population)


def test_a_search_may_begin_with_networks_that_it_did_not_propose() -> None:
    space = search_spaces.load("mobilenet_v3_32")
    first = space.canonical(space.sample(5, np.random.default_rng(0)))
    found = search(FeasibleRegion(space), 40, first)
    assert np.array_equal(found.population[:5], first)
    assert len(found.population) == 40


def test_numbers_move_and_categories_are_drawn_anew() -> None:
    strategy = PymooNSGA2()
    space = TableSpace({"number": tuple(range(9)), "category": tuple("abcdefghi")})
    strategy.begin(FeasibleRegion(space), [Objective("sum")], 0)
    rows = np.full((4000, 2), 4)
    mutation = strategy._algorithm.mating.mutation
    changed = mutation(strategy._problem, PymooPopulation.new(X=rows), random_state=np.random.default_rng(0)).get("X")
    far = (np.abs(changed - 4) >= 3).mean(axis=0)
    # each of two choices is mutated half of the times; four of nine options are so far away
    assert far[1] == pytest.approx(0.5 * 4 / 9, abs=0.03)
    assert 0 < far[0] < 0.1
    assert changed.min() == 0
    assert changed.max() == 8


def test_a_region_of_few_networks_ends_the_search() -> None:
    space = search_spaces.load("mobilenet_v3_32")
    model = BlockCost(space, "latency_ms", np.random.default_rng(0).uniform(0.1, 1, len(space.index.blocks)))
    region = FeasibleRegion(space, [Constraint(model, parse_budget("0.000001%", model))])
    assert len(search(region, 100).population) <= 1
