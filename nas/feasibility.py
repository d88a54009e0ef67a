"""A network that keeps several bounds at once: found, or shown not to exist.

Each bound by itself is a matter of the cheapest network. Together, costs that add up over blocks have a Lagrangian
that is exact: for any weights of the bounds, the network of the lowest weighted excess is found by elimination, and
where even that one exceeds, no network keeps them all (Geoffrion, 1974). The weights that show the most are found by
cutting planes (Kelley, 1960). What they leave open is searched, from the networks found on the way.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from latency_predictors.cost_model import BlockCost
from nas.constraint import Constraint, violations
from search_spaces import SearchSpace, elimination
from search_spaces.elimination import Factor
from search_spaces.plan_index import Population, distinct

_TOLERANCE = 1e-9  # of excesses, relative to their bounds
_CUTS = 50
_GENERATIONS = 100
_PARENTS = 32
_CHILDREN = 1024
_MUTATED = 2  # choices of a mutant, on average


def nearest(space: SearchSpace, constraints: Sequence[Constraint], rng: np.random.Generator) -> tuple[Population, bool]:
    """Return the network, (1, choices), that of those found exceeds the bounds least, and whether none keeps all.

    The second is shown, not guessed: if it is false and the network exceeds a bound, another may still keep them.
    """
    found, is_infeasible = _weighted(space, constraints)
    if not is_infeasible:
        found = _evolve(space, constraints, np.concatenate([found, space.sample(_CHILDREN, rng)]), rng)
    return found[violations(constraints, found).argmin()][None], is_infeasible


def _weighted(space: SearchSpace, constraints: Sequence[Constraint]) -> tuple[Population, bool]:
    """Return networks of the lowest weighted excess, (n, choices), and whether some weights exclude every network."""
    blockwise = [(c, c.model) for c in constraints if isinstance(c.model, BlockCost)]
    forbidden = [factor for c, model in blockwise if model.combine == "max" for factor in _forbidding(c, model)]
    summed = [(c, _factors(c, model)) for c, model in blockwise if model.combine == "sum"]
    found: list[Population] = []
    excesses = np.empty((0, len(summed)))
    weights, highest = np.full(len(summed), 1 / max(1, len(summed))), np.inf
    while len(found) < _CUTS:
        weighted = [
            Factor(factor.choices, weight * factor.values)
            for weight, (_, factors) in zip(weights, summed, strict=True)
            for factor in factors
        ]
        total, options = elimination.minimise([*forbidden, *weighted])
        row = space.canonical(np.array([[options.get(choice, 0) for choice in range(len(space.choices))]]))
        found.append(row)
        excess = np.array([c.excess(row)[0] for c, _ in summed])
        lowest = float(weights @ excess)
        if total == np.inf or lowest > _TOLERANCE:
            return np.concatenate(found), True
        if not summed or highest - lowest < _TOLERANCE or violations(constraints, row)[0] == 0:
            break
        excesses = np.concatenate([excesses, excess[None]])
        weights, highest = _best_weights(excesses)
    return np.concatenate(found), False


def _factors(constraint: Constraint, model: BlockCost) -> list[Factor]:
    """Return what adds up to the excess of a cost that is a sum over blocks, but for a constant."""
    return model.space.index.factors(model.values * (1 + model.margin) / constraint.scale)


def _forbidding(constraint: Constraint, model: BlockCost) -> list[Factor]:
    """Return what is infinite for a block beyond the bound, where the cost is the largest block's, and 0 for others."""
    costs = (model.values + model.constant) * (1 + model.margin)
    return model.space.index.factors(np.where(costs > constraint.bound, np.inf, 0.0))


def _best_weights(excesses: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the weights (bounds,) for which the least excess of some networks (n, bounds) is largest, and that."""
    n, n_bounds = excesses.shape
    solution = linprog(
        c=[0.0] * n_bounds + [-1.0],
        A_ub=np.column_stack([-excesses, np.ones(n)]),
        b_ub=np.zeros(n),
        A_eq=[[1.0] * n_bounds + [0.0]],
        b_eq=[1.0],
        bounds=[(0.0, None)] * n_bounds + [(None, None)],
    )
    return solution.x[:-1], float(solution.x[-1])


def _evolve(
    space: SearchSpace, constraints: Sequence[Constraint], population: Population, rng: np.random.Generator
) -> Population:
    """Breed neighbours, crossovers and mutants of those (n, choices) nearest to the bounds until one keeps them."""
    for _ in range(_GENERATIONS):
        population = population[distinct(population)]
        exceeded = violations(constraints, population)
        population = population[np.argsort(exceeded, kind="stable")[:_PARENTS]]
        if exceeded.min() == 0:
            break
        neighbours = [space.neighbours(row) for row in population]
        mothers, fathers = (population[rng.integers(len(population), size=_CHILDREN)] for _ in range(2))
        crossed = space.crossover(mothers, fathers, rng)
        mutants = space.mutate(crossed, min(1.0, _MUTATED / len(space.choices)), rng)
        population = space.canonical(np.concatenate([population, *neighbours, crossed, mutants]))
    return population
