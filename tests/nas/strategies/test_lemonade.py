"""Parents and children come from where the front is thin, by what networks cost."""

import numpy as np
import pytest

from latency_predictors.cost_model import BlockCost
from nas import strategies
from nas.objectives import FeasibleRegion, Objective
from nas.strategies.lemonade import LEMONADE
from search_spaces import SearchSpace
from search_spaces.plan_index import Population


@pytest.fixture(scope="module")
def cost(tiny: SearchSpace) -> BlockCost:
    values = np.random.default_rng(0).uniform(0.1, 1, len(tiny.index.blocks))
    return BlockCost(tiny, "latency_ms", values)


@pytest.fixture
def lemonade(tiny: SearchSpace, cost: BlockCost) -> LEMONADE:
    strategy = strategies.load("lemonade", batch=5, candidates=40)
    assert isinstance(strategy, LEMONADE)
    objectives = [Objective("accuracy"), Objective("latency_ms", maximise=False, model=cost)]
    strategy.begin(FeasibleRegion(tiny), objectives, seed=0)
    return strategy


def crowd_and_one(tiny: SearchSpace, cost: BlockCost) -> Population:
    """Return twenty networks of about the lowest costs of a sample, and one of the highest."""
    drawn = tiny.canonical(tiny.sample(1000, np.random.default_rng(0)))
    order = cost.predict(drawn).argsort()
    return drawn[[*order[:20], order[-1]]]


def test_a_network_that_costs_like_no_other_has_the_most_children(
    tiny: SearchSpace, cost: BlockCost, lemonade: LEMONADE
) -> None:
    rows = crowd_and_one(tiny, cost)
    costs = cost.predict(rows)
    lemonade.tell(rows, np.stack([costs, -costs], axis=1))  # the dearer, the better: all are on the front
    lemonade.ask()
    assert len(lemonade._front) == 21
    lone = (lemonade._front == rows[-1]).all(axis=1)
    assert lemonade._parenthood[lone] > 5 * lemonade._parenthood[~lone].mean()


def test_children_are_proposed_where_the_front_is_thin(tiny: SearchSpace, cost: BlockCost, lemonade: LEMONADE) -> None:
    rows = crowd_and_one(tiny, cost)[:20]
    costs = cost.predict(rows)
    lemonade.tell(rows, np.stack([costs, -costs], axis=1))
    proposed = np.concatenate([lemonade.ask() for _ in range(20)])
    bred = lemonade.region.breed(1000, lemonade._children, np.random.default_rng(0))
    middle = np.median(costs)
    far = [float(np.abs(cost.predict(population) - middle).mean()) for population in (proposed, bred)]
    assert far[0] > 1.5 * far[1]


def test_only_the_front_has_children(tiny: SearchSpace, cost: BlockCost, lemonade: LEMONADE) -> None:
    rows = crowd_and_one(tiny, cost)
    lemonade.tell(rows, np.stack([np.arange(21.0), np.arange(21.0)], axis=1), np.zeros(21))
    children = lemonade.ask()
    assert ((children != rows[-1]).sum(axis=1) <= 4 * lemonade.steps).all()
    assert lemonade._front.tolist() == [rows[-1].tolist()]


def test_the_unit_of_a_cost_changes_nothing_even_where_the_front_has_one_cost(
    tiny: SearchSpace, cost: BlockCost
) -> None:
    rows = crowd_and_one(tiny, cost)
    weights = []
    for unit in (1.0, 1000.0):
        scaled = BlockCost(tiny, "latency_us", unit * cost.values)
        strategy = strategies.load("lemonade")
        assert isinstance(strategy, LEMONADE)
        strategy.begin(FeasibleRegion(tiny), [Objective("score"), Objective("latency_us", model=scaled)], seed=0)
        strategy.tell(rows, np.stack([np.arange(21.0), np.arange(21.0)], axis=1))  # the last is the front
        strategy.ask()
        weights.append(strategy._emptiness(scaled.predict(rows)[:, None]))
    assert weights[0] == pytest.approx(weights[1])
    assert weights[0].max() > 1.2 * weights[0].min(), "what costs otherwise has the larger weight"


def test_without_a_predicted_cost_all_of_the_front_are_equal(tiny: SearchSpace) -> None:
    strategy = strategies.load("lemonade")
    assert isinstance(strategy, LEMONADE)
    strategy.begin(FeasibleRegion(tiny), [Objective("one"), Objective("other")], seed=0)
    rows = strategy.ask()
    strategy.tell(rows, np.stack([np.arange(10.0), -np.arange(10.0)], axis=1))
    strategy.ask()
    assert strategy._parenthood == pytest.approx(np.full(10, 0.1))
