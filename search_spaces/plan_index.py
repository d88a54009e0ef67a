"""The plans of a whole population as arrays: which block stands in which slot, found once and then looked up.

A slot is a block's name in the plan. Its block is tabulated over the options that decide it, so that a population
(N, choices) of option numbers becomes block numbers, costs and canonical forms by array look-ups alone.
"""

from collections.abc import Callable, Container, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search_spaces import elimination
from search_spaces.canonical import CanonicalForm
from search_spaces.elimination import Factor
from search_spaces.exploration import PlanFunction, explore

Population = NDArray[np.integer]
"""Option numbers of N architectures, (N, choices)."""

_LARGEST_GROUP = 1 << 15


def distinct(population: Population, known: Container[bytes] = ()) -> NDArray[np.int64]:
    """Return the indices of the rows that are equal to none before them, nor to known ones, as bytes; ascending."""
    content, width = population.tobytes(), population.shape[1] * population.itemsize
    first: dict[bytes, int] = {}
    for i in range(len(population)):
        first.setdefault(content[i * width : (i + 1) * width], i)
    return np.array([i for row, i in first.items() if row not in known], np.int64)


class PlanIndex:
    """Every block that a space's plans can hold, by slot and by the options that decide it.

    Args:
        n_options: number of options of each choice.
        plan: gives the plan of one architecture; called some thousand times, never again afterwards.

    Attributes:
        blocks: the distinct blocks of all slots.
        slots: the names in the plans: those of the largest network in its order, then others as plans show them.
        depends: for each slot, the choices that decide its block, ascending.
        tables: for each slot, an array over the options of those choices: index into `blocks`, -1 where absent.

    Raises:
        ValueError: the plan differs from call to call, or one of its blocks depends on too many choices.
    """

    def __init__(self, n_options: Sequence[int], plan: PlanFunction) -> None:
        self.n_options = tuple(n_options)
        self.blocks, found = explore(self.n_options, plan)
        self.slots: tuple[str, ...] = tuple(found)
        self.depends: tuple[tuple[int, ...], ...] = tuple(scope for scope, _ in found.values())
        self.tables: tuple[NDArray[np.int64], ...] = tuple(table for _, table in found.values())

    def block_ids(self, population: Population) -> NDArray[np.int64]:
        """Return (N, slots): the index into `blocks` of what stands in each slot, -1 where it is absent."""
        ids = np.empty((len(population), len(self.slots)), np.int64)
        for column, (table, scope) in enumerate(zip(self.tables, self.depends, strict=True)):
            ids[:, column] = table[tuple(population[:, choice] for choice in scope)]
        return ids

    def factors(self, values: NDArray[np.float64]) -> list[Factor]:
        """Return one factor a slot: the value of its block, 0 where absent. `values` is (blocks,)."""
        padded = np.append(values, 0.0)  # index -1, an absent block, reads the last element
        return [Factor(scope, padded[table]) for table, scope in zip(self.tables, self.depends, strict=True)]

    def summed(self, values: NDArray[np.float64]) -> Callable[[Population], NDArray[np.float64]]:
        """Compile the sum of a value per block, `values` (blocks,), into a function of a population."""
        return _lookup(self.n_options, self.factors(values), np.add)

    def largest(self, values: NDArray[np.float64]) -> Callable[[Population], NDArray[np.float64]]:
        """Compile the maximum of a non-negative value per block (blocks,) into a function of a population."""
        return _lookup(self.n_options, self.factors(values), np.maximum)

    def canonical(self, population: Population) -> Population:
        """Set each choice in turn to the first option with which the plan can stay: equal plans become equal rows.

        Raises:
            ValueError: the blocks are too entangled for that.
        """
        return self._canonical_form.of(population)

    def count(self) -> int:
        """Return the exact number of canonical architectures, which is that of distinct plans.

        Raises:
            ValueError: the blocks are too entangled for that.
        """
        return self._canonical_form.count()

    @cached_property
    def _canonical_form(self) -> CanonicalForm:
        return CanonicalForm(self.n_options, [Factor(*entry) for entry in zip(self.depends, self.tables, strict=True)])


def _grouped(factors: Sequence[Factor], combine: np.ufunc) -> list[Factor]:
    """Combine factors whose joint table stays small enough for the cache: fewer look-ups an architecture."""
    groups: list[Factor] = []
    for factor in sorted(factors, key=lambda f: (f.choices, f.values.size)):
        sizes = dict(zip(factor.choices, factor.values.shape, strict=True))
        for i, group in enumerate(groups):
            union = dict(zip(group.choices, group.values.shape, strict=True)) | sizes
            if np.prod([float(n) for n in union.values()]) <= _LARGEST_GROUP:
                groups[i] = elimination.join([group, factor], combine)
                break
        else:
            groups.append(factor)
    return groups


def _lookup(
    n_options: Sequence[int], factors: Sequence[Factor], combine: np.ufunc
) -> Callable[[Population], NDArray[np.float64]]:
    """Return the sum or maximum of factors and 0, as a function of a population.

    One matrix product gives the indices into all tables.
    """
    groups = _grouped(factors, combine)
    flat = [np.ascontiguousarray(group.values, dtype=np.float64).reshape(-1) for group in groups]
    strides = np.zeros((len(n_options), len(groups)), np.float32)  # exact: every index is below 2^24
    for column, group in enumerate(groups):
        step = 1
        for choice, n in reversed(list(zip(group.choices, group.values.shape, strict=True))):
            strides[choice, column] = step
            step *= n

    def combined(population: Population) -> NDArray[np.float64]:
        out = np.zeros(len(population))
        for start in range(0, len(population), _ROWS_A_CHUNK):
            rows = population[start : start + _ROWS_A_CHUNK].astype(np.float32)
            indices = (rows @ strides).astype(np.intp).T
            for values, index in zip(flat, indices, strict=True):
                part = out[start : start + _ROWS_A_CHUNK]
                combine(part, values[index], out=part)
        return out

    return combined


_ROWS_A_CHUNK = 1 << 13
