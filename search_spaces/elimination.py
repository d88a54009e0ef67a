"""Exact sums and minima over every architecture of a space by variable elimination (Dechter 1999).

A factor is an array over the options of a few choices. The number of architectures that satisfy a product of factors,
and the architecture that minimises a sum of them, are found without enumerating: one choice is eliminated at a time.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGEST_FACTOR = 1 << 24


@dataclass(frozen=True)
class Factor:
    """Values over the options of some choices: axis i of `values` belongs to choice `choices[i]`, ascending."""

    choices: tuple[int, ...]
    values: NDArray[np.generic]


def join(factors: Sequence[Factor], combine: Callable[..., NDArray[np.generic]]) -> Factor:
    """Combine factors elementwise over the union of their choices.

    Raises:
        ValueError: the union is too large to hold.
    """
    union = tuple(sorted({choice for factor in factors for choice in factor.choices}))
    sizes = {
        choice: size for factor in factors for choice, size in zip(factor.choices, factor.values.shape, strict=True)
    }
    if np.prod([float(sizes[choice]) for choice in union]) > _LARGEST_FACTOR:
        raise ValueError(f"the choices {union} are too entangled to eliminate exactly")
    total: NDArray[np.generic] | None = None
    for factor in factors:
        shape = [sizes[choice] if choice in factor.choices else 1 for choice in union]
        aligned = factor.values.reshape(shape)
        total = aligned if total is None else combine(total, aligned)
    assert total is not None
    return Factor(union, np.broadcast_to(total, [sizes[choice] for choice in union]))


def _order(factors: Iterable[Factor]) -> Iterable[int]:
    """Yield the choices, at each step the one whose elimination joins the fewest others."""
    scopes = [set(factor.choices) for factor in factors]
    remaining = set().union(*scopes)
    while remaining:
        choice = min(remaining, key=lambda c: (len(set().union(*(s for s in scopes if c in s))), c))
        merged = set().union(*(s for s in scopes if choice in s)) - {choice}
        scopes = [s for s in scopes if choice not in s] + [merged]
        remaining.remove(choice)
        yield choice


def count(factors: Sequence[Factor]) -> int:
    """Return the exact sum, over all assignments of the factors' choices, of the product of the factors."""
    pool = [Factor(factor.choices, factor.values.astype(object)) for factor in factors]
    for choice in list(_order(pool)):
        joined = join([factor for factor in pool if choice in factor.choices], np.multiply)
        axis = joined.choices.index(choice)
        summed = Factor(joined.choices[:axis] + joined.choices[axis + 1 :], np.asarray(joined.values.sum(axis=axis)))
        pool = [factor for factor in pool if choice not in factor.choices] + [summed]
    total = 1
    for factor in pool:
        total *= int(factor.values.item())
    return total


def minimise(factors: Sequence[Factor], combine: np.ufunc = np.add) -> tuple[float, dict[int, int]]:
    """Return the smallest combination of the factors over all assignments, and the options that attain it.

    Args:
        factors: the factors.
        combine: sum, maximum or minimum, over which a minimum distributes.
    """
    pool = [Factor(factor.choices, factor.values.astype(float)) for factor in factors]
    eliminated: list[tuple[int, tuple[int, ...], NDArray[np.intp]]] = []
    for choice in list(_order(pool)):
        joined = join([factor for factor in pool if choice in factor.choices], combine)
        axis = joined.choices.index(choice)
        rest = joined.choices[:axis] + joined.choices[axis + 1 :]
        eliminated.append((choice, rest, np.asarray(joined.values.argmin(axis=axis))))
        smallest = Factor(rest, np.asarray(joined.values.min(axis=axis)))
        pool = [factor for factor in pool if choice not in factor.choices] + [smallest]
    assignment: dict[int, int] = {}
    for choice, rest, best in reversed(eliminated):
        assignment[choice] = int(best[tuple(assignment[other] for other in rest)])
    return float(combine.reduce([float(factor.values.item()) for factor in pool])), assignment
