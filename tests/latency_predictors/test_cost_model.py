"""A cost put together from blocks is what the plans say, and its extremes are exact."""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import search_spaces
from latency_predictors.cost_model import BlockCost, margin_of
from search_spaces import SearchSpace

SEEDS = st.integers(0, 2**32 - 1)
Combine = Literal["sum", "max"]

either = pytest.mark.parametrize("combine", ["sum", "max"])


@cache
def load(name: str) -> SearchSpace:
    return large() if name == large().name else search_spaces.load(name)


@cache
def large() -> SearchSpace:
    return search_spaces.load("ofa_mobilenet_v3", resolutions=(128, 160))


def random_cost(space: SearchSpace, combine: Combine, seed: int) -> BlockCost:
    """Return a cost of random values, which have either sign where they are added up."""
    values = np.random.default_rng(seed).normal(size=len(space.index.blocks))
    return BlockCost(space, "cost_ms", values if combine == "sum" else abs(values), constant=0.5, combine=combine)


@either
@pytest.mark.parametrize("name", search_spaces.names())
@settings(max_examples=3)
@given(seed=SEEDS)
def test_predictions_follow_the_plans(name: str, combine: Combine, seed: int) -> None:
    space = load(name)
    model = random_cost(space, combine, seed)
    values = dict(zip(space.index.blocks, model.values, strict=True))
    population = space.sample(50, np.random.default_rng(seed))
    plans = [space.plan(architecture).values() for architecture in space.decode(population)]
    together = {"sum": sum, "max": max}[combine]
    expected = [together([values[block] for block in plan]) + model.constant for plan in plans]
    np.testing.assert_allclose(model.predict(population), expected, rtol=0, atol=1e-9)


@either
@settings(max_examples=30)
@given(data=st.data())
def test_extremes_are_those_of_all_networks(toy: Callable[..., Any], combine: Combine, data: st.DataObject) -> None:
    widths = data.draw(st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True))
    depths = data.draw(st.lists(st.integers(1, 3), min_size=1, unique=True))
    space = toy(widths=tuple(widths), depths=tuple(depths))
    model = random_cost(space, combine, data.draw(SEEDS))
    every = model.predict(space.rows())
    for (cost, architecture), extreme in ((model.cheapest(), every.min()), (model.dearest(), every.max())):
        assert cost == pytest.approx(extreme, abs=1e-9)
        row = space.encode([architecture])
        assert model.predict(row)[0] == cost
        assert np.array_equal(space.canonical(row), row)


@either
@settings(max_examples=5)
@given(seed=SEEDS)
def test_no_random_network_is_cheaper_than_the_cheapest(combine: Combine, seed: int) -> None:
    model = random_cost(large(), combine, seed)
    costs = model.predict(large().sample(10_000, np.random.default_rng(seed)))
    assert model.cheapest()[0] <= costs.min() + 1e-9
    assert model.dearest()[0] >= costs.max() - 1e-9


def test_a_population_may_be_empty(small: SearchSpace) -> None:
    for combine in ("sum", "max"):
        model = random_cost(small, combine, 0)  # type: ignore[arg-type]
        assert model.predict(small.sample(0, np.random.default_rng(0))).shape == (0,)


@pytest.mark.parametrize(("n", "share"), [(3, 3 / 4), (20, 20 / 21), (60, 58 / 61)])
def test_a_margin_holds_for_so_many_fresh_networks_as_it_says(n: int, share: float) -> None:
    """On average over what was measured."""
    costs = 1 + np.random.default_rng(0).exponential(size=(4000, n + 20))
    margins = np.array([margin_of(tested, np.ones(n)) for tested in costs[:, :n]])
    assert np.mean(costs[:, n:] <= 1 + margins[:, None]) == pytest.approx(share, abs=0.01)


def test_a_prediction_of_nothing_is_exceeded_beyond_any_bound() -> None:
    costs, predicted = np.ones(20), np.ones(20)
    for value in (0.0, -1e-12, -3.0):
        predicted[7] = value
        assert 1e6 < margin_of(costs, predicted) < np.inf
