"""Elimination finds what enumeration does."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from search_spaces.elimination import Factor, count, join, minimise


@st.composite
def factor_graphs(draw: st.DrawFn, low: int, high: int) -> list[Factor]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    scopes = draw(st.lists(st.sets(st.integers(0, len(sizes) - 1), max_size=3), min_size=1, max_size=6))
    factors = []
    for scope in map(sorted, scopes):
        shape = [sizes[choice] for choice in scope]
        n = int(np.prod(shape, dtype=int))
        values = draw(st.lists(st.integers(low, high), min_size=n, max_size=n))
        factors.append(Factor(tuple(scope), np.array(values).reshape(shape)))
    return factors


def assignments(factors: Sequence[Factor]) -> list[dict[int, int]]:
    sizes = {c: n for factor in factors for c, n in zip(factor.choices, factor.values.shape, strict=True)}
    return [dict(zip(sizes, options, strict=True)) for options in itertools.product(*map(range, sizes.values()))]


def values_at(factors: Sequence[Factor], assignment: dict[int, int]) -> list[int]:
    return [int(factor.values[tuple(assignment[choice] for choice in factor.choices)]) for factor in factors]


SCALAR = Factor((), np.array(3))


@given(factor_graphs(0, 3))
@example([])
@example([SCALAR])
def test_count_is_the_sum_of_products(factors: list[Factor]) -> None:
    expected = sum(int(np.prod(values_at(factors, a), dtype=object)) for a in assignments(factors))
    assert count(factors) == expected


def test_counts_are_exact_beyond_64_bits() -> None:
    factors = [Factor((choice, choice + 1), np.full((7, 7), 10)) for choice in range(60)]
    assert count(factors) == 7**61 * 10**60


@pytest.mark.parametrize("combine", [np.add, np.maximum, np.minimum], ids=["sum", "maximum", "minimum"])
@given(factors=factor_graphs(-5, 5))
@example(factors=[SCALAR])
def test_minimise_finds_the_smallest(combine: np.ufunc, factors: list[Factor]) -> None:
    totals = [int(combine.reduce(values_at(factors, assignment))) for assignment in assignments(factors)]
    smallest, assignment = minimise(factors, combine)
    assert smallest == min(totals)
    assert combine.reduce(values_at(factors, assignment)) == smallest
    assert assignment.keys() == {choice for factor in factors for choice in factor.choices}


def test_minimise_of_a_long_chain_is_quick() -> None:
    rng = np.random.default_rng(0)
    factors = [Factor((choice, choice + 1), rng.random((9, 9))) for choice in range(200)]
    smallest, assignment = minimise(factors)
    assert sum(factor.values[assignment[i], assignment[i + 1]] for i, factor in enumerate(factors)) == pytest.approx(
        smallest, abs=1e-9
    )
    assert smallest < 200 * 0.15


def test_join_combines_over_the_union() -> None:
    joined = join([Factor((0, 2), np.array([[1, 2], [3, 4]])), Factor((1,), np.array([10, 20, 30]))], np.add)
    assert joined.choices == (0, 1, 2)
    assert joined.values.tolist() == [[[11, 12], [21, 22], [31, 32]], [[13, 14], [23, 24], [33, 34]]]


def test_what_is_too_entangled_is_refused() -> None:
    factors = [Factor((i, j), np.ones((10, 10))) for i, j in itertools.combinations(range(9), 2)]
    for eliminate in (count, minimise):
        with pytest.raises(ValueError, match="too entangled to eliminate exactly"):
            eliminate(factors)
