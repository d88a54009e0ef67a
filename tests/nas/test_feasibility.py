"""Bounds that some network keeps are kept by the one that is found; what is said to be impossible is."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import search_spaces
from latency_predictors.cost_model import BlockCost
from nas.constraint import Constraint
from nas.feasibility import nearest
from nas.objectives import FeasibleRegion
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population

SEEDS = st.integers(0, 2**32 - 1)


def costs(space: SearchSpace, kinds: list[Literal["sum", "max"]], seed: int, margin: float = 0.0) -> list[BlockCost]:
    """Return costs of which the first two are nearly opposite: networks that are cheap in both are rare."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.1, 1, (len(kinds), len(space.index.blocks)))
    values[1:2] = 0.9 * (1.1 - values[0]) + 0.1 * values[1:2]
    return [
        BlockCost(space, f"cost{i}_ms", row, constant=0.2, combine=kind, margin=margin)
        for i, (row, kind) in enumerate(zip(values, kinds, strict=True))
    ]


def kept(constraints: list[Constraint], population: Population) -> Any:
    return np.all([constraint.satisfied(population) for constraint in constraints], axis=0)


@settings(max_examples=30)
@given(
    seed=SEEDS,
    kinds=st.lists(st.sampled_from(["sum", "sum", "max"]), min_size=1, max_size=3),
    quantiles=st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_in_a_small_space_nothing_is_missed_and_nothing_refused_wrongly(
    toy: Callable[..., Any], seed: int, kinds: list[Literal["sum", "max"]], quantiles: list[float]
) -> None:
    space = toy()
    rows = space.rows()
    models = costs(space, kinds, seed, margin=0.05)
    bounds = [float(np.quantile(1.05 * model.predict(rows), q)) for model, q in zip(models, quantiles, strict=False)]
    constraints = [Constraint(model, bound) for model, bound in zip(models, bounds, strict=True)]
    found, is_infeasible = nearest(space, constraints, np.random.default_rng(0))
    assert found.shape == (1, len(space.choices))
    assert np.array_equal(space.canonical(found), found)
    assert kept(constraints, found).all() == kept(constraints, rows).any()
    assert not (is_infeasible and kept(constraints, rows).any())


def near_the_front(space: SearchSpace, models: list[BlockCost], seed: int) -> Population:
    """Return a network (1, choices) that hardly any other is cheaper than in all costs at once."""
    rng = np.random.default_rng(seed)
    lowest = np.array([model.cheapest()[0] for model in models])
    spread = np.array([model.dearest()[0] for model in models]) - lowest
    weights = rng.dirichlet(np.ones(len(models)))
    row = space.sample(1, rng)
    for _ in range(60):
        drawn = np.concatenate([row, space.neighbours(row[0]), space.mutate(row.repeat(300, 0), 0.1, rng)])
        shares = (np.stack([model.predict(drawn) for model in models], axis=1) - lowest) / spread
        row = drawn[(shares * weights).max(axis=1).argmin()][None]
    return space.canonical(row)


@pytest.mark.parametrize("n_bounds", [2, 3])
@settings(max_examples=3)
@given(seed=SEEDS)
def test_bounds_that_one_known_network_just_keeps_are_not_refused(n_bounds: int, seed: int) -> None:
    """Random networks keep them once in some hundred thousand."""
    space = search_spaces.load("mobilenet_v3_32")
    models = costs(space, ["sum"] * n_bounds, seed)
    row = near_the_front(space, models, seed)
    constraints = [Constraint(model, 1.001 * float(model.predict(row)[0])) for model in models]
    region = FeasibleRegion(space, constraints)
    assert region.contains(region.sample(10, np.random.default_rng(0))).all()


def test_what_no_network_keeps_is_told_with_the_nearest() -> None:
    space = search_spaces.load("mobilenet_v3_32")
    models = costs(space, ["sum", "sum"], 0)
    bounds = [1.05 * model.cheapest()[0] for model in models]
    constraints = [Constraint(model, bound) for model, bound in zip(models, bounds, strict=True)]
    told = r"no network keeps cost0_ms <= .* and cost1_ms <= .*: the nearest found, \w{12}, has cost0_ms [\d.]+ and "
    with pytest.raises(InputError, match=told) as error:
        FeasibleRegion(space, constraints)
    assert len(str(error.value).splitlines()) == 1


def test_bounds_on_the_largest_block_exclude_each_other_exactly(toy: Callable[..., Any]) -> None:
    space = toy(widths=(8, 16), depths=(1,))
    values = np.array([float(block.n_out == 8) for block in space.index.blocks])
    narrow, wide = (BlockCost(space, f"cost{i}_ms", row, combine="max") for i, row in enumerate((values, 1.0 - values)))
    classifiers = np.array([block.n_out == 10 for block in space.index.blocks])
    wide.values[classifiers] = 0
    _, is_infeasible = nearest(space, [Constraint(narrow, 0.5), Constraint(wide, 0.5)], np.random.default_rng(0))
    assert is_infeasible
    found, is_infeasible = nearest(space, [Constraint(narrow, 0.5), Constraint(wide, 1.0)], np.random.default_rng(0))
    assert not is_infeasible
    assert narrow.predict(found) == 0


@pytest.mark.parametrize("bound", [np.inf, np.nan, -np.inf])
def test_a_bound_that_is_no_number_is_refused(toy: Callable[..., Any], bound: float) -> None:
    (model,) = costs(toy(), ["sum"], 0)
    with pytest.raises(InputError, match=f"a bound of {bound} on cost0_ms is none"):
        Constraint(model, bound)
