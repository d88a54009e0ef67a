"""The plans of a whole population as arrays: which block stands in which slot, found once and then looked up.

A slot is a block's name in the plan. Which choices a slot's block depends on is found by changing one choice at a time;
the block for every combination of those choices is then tabulated, so that a population (N, choices) of option numbers
becomes block numbers, costs and canonical forms by array look-ups alone.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search_spaces import elimination
from search_spaces.block import Block
from search_spaces.elimination import Factor

Population = NDArray[np.integer]
"""Option numbers of N architectures, (N, choices)."""

PlanFunction = Callable[[Sequence[int]], Mapping[str, Block]]
"""Option numbers of one architecture -> its plan."""

_ABSENT, _UNKNOWN = -1, -2
_N_PROBES = 10
_LARGEST_SLOT = 1 << 22
_LARGEST_GROUP = 1 << 15


class PlanIndex:
    """Every block that a space's plans can hold, by slot and by the options that decide it.

    Args:
        n_options: number of options of each choice.
        plan: gives the plan of one architecture; called a few thousand times, never again afterwards.

    Attributes:
        blocks: the distinct blocks of all slots.
        slots: the names in the plan, in its order.
        depends: for each slot, the choices that decide its block, ascending.
        tables: for each slot, an array over the options of those choices: index into `blocks`, -1 where absent.
    """

    def __init__(self, n_options: Sequence[int], plan: PlanFunction) -> None:
        self.n_options = tuple(n_options)
        self._plan = plan
        self._ids: dict[Block, int] = {}
        self._rng = np.random.default_rng(0)
        found = self._probe()
        self.slots: tuple[str, ...] = tuple(found)
        while (tables := self._tabulate(found)) is None:
            pass  # each round adds at least one dependence that the probes had missed, and there are finitely many
        self.tables: tuple[NDArray[np.int64], ...] = tuple(tables)
        self.depends: tuple[tuple[int, ...], ...] = tuple(tuple(sorted(found[slot])) for slot in self.slots)
        self.blocks: tuple[Block, ...] = tuple(self._ids)

    def _row(self, options: Sequence[int]) -> dict[str, int]:
        plan = self._plan(options)
        return {slot: self._ids.setdefault(block, len(self._ids)) for slot, block in plan.items()}

    def _random_row(self) -> list[int]:
        return [int(self._rng.integers(n)) for n in self.n_options]

    def _probe(self) -> dict[str, set[int]]:
        """Find the slots and most of their dependences: change each choice of a few architectures to each option."""
        bases = [[n - 1 for n in self.n_options], [0] * len(self.n_options)]
        bases += [self._random_row() for _ in range(_N_PROBES)]
        depends: dict[str, set[int]] = {}
        for base in bases:
            before = self._row(base)
            for slot in before:
                depends.setdefault(slot, set())
            for choice, n in enumerate(self.n_options):
                for option in set(range(n)) - {base[choice]}:
                    after = self._row([*base[:choice], option, *base[choice + 1 :]])
                    for slot in before.keys() | after.keys():
                        if before.get(slot) != after.get(slot):
                            depends.setdefault(slot, set()).add(choice)
        return depends

    def _tabulate(self, depends: dict[str, set[int]]) -> list[NDArray[np.int64]] | None:
        """Fill each slot's table; None when two rows contradict each other, after adding the missing dependence."""
        scopes = [sorted(depends[slot]) for slot in self.slots]
        shapes = [tuple(self.n_options[choice] for choice in scope) for scope in scopes]
        for slot, shape in zip(self.slots, shapes, strict=True):
            if np.prod([float(n) for n in shape]) > _LARGEST_SLOT:
                raise ValueError(f"block {slot!r} depends on too many choices to tabulate: {shape} options")
        tables = [np.full(shape, _UNKNOWN, np.int64) for shape in shapes]
        origin: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for number in sorted(range(len(tables)), key=lambda i: -tables[i].size):
            for combination in np.ndindex(tables[number].shape):
                if tables[number][combination] != _UNKNOWN:
                    continue
                row = self._random_row()
                for choice, option in zip(scopes[number], combination, strict=True):
                    row[choice] = option
                plan = self._row(row)
                for i, (slot, scope) in enumerate(zip(self.slots, scopes, strict=True)):
                    key = tuple(row[choice] for choice in scope)
                    block = plan.get(slot, _ABSENT)
                    if tables[i][key] == _UNKNOWN:
                        tables[i][key], origin[i, key] = block, row
                    elif tables[i][key] != block:
                        depends[slot].add(self._missing_dependence(slot, origin[i, key], row))
                        return None
        return tables

    def _missing_dependence(self, slot: str, start: Sequence[int], end: Sequence[int]) -> int:
        """Walk from one architecture to another, a choice at a time, to the step that changes the slot's block."""
        row = list(start)
        block = self._row(row).get(slot)
        for choice, option in enumerate(end):
            row[choice] = option
            if self._row(row).get(slot) != block:
                return choice
        raise AssertionError(f"the plan is not a function of its architecture in block {slot!r}")

    def block_ids(self, population: Population) -> NDArray[np.int64]:
        """Return (N, slots): the index into `blocks` of what stands in each slot, -1 where it is absent."""
        columns = [
            table[tuple(population[:, choice] for choice in scope)] if scope else np.full(len(population), table.item())
            for table, scope in zip(self.tables, self.depends, strict=True)
        ]
        return np.stack(columns, axis=1)

    def factors(self, values: NDArray[np.float64]) -> list[Factor]:
        """Return one factor a slot: the value of its block, 0 where absent. `values` is (blocks,)."""
        padded = np.append(values, 0.0)  # index -1, an absent block, reads the last element
        return [Factor(scope, padded[table]) for table, scope in zip(self.tables, self.depends, strict=True)]

    def summed(self, values: NDArray[np.float64]) -> Callable[[Population], NDArray[np.float64]]:
        """Compile the sum of a value per block, `values` (blocks,), into a function of a population."""
        return _lookup(self.n_options, _grouped(self.factors(values)))

    def largest(self, values: NDArray[np.float64]) -> Callable[[Population], NDArray[np.float64]]:
        """Compile the maximum of a non-negative value per block (blocks,) into a function of a population."""
        padded = np.append(values, 0.0)
        return lambda population: padded[self.block_ids(population)].max(axis=1)

    @cached_property
    def _constant(self) -> list[list[tuple[int, NDArray[np.bool_]]]]:
        """For each choice, its slots and where their block does not depend on it (the choice's axis kept, size 1)."""
        constant: list[list[tuple[int, NDArray[np.bool_]]]] = [[] for _ in self.n_options]
        for slot, (table, scope) in enumerate(zip(self.tables, self.depends, strict=True)):
            for axis, choice in enumerate(scope):
                same = (table == table.take([0], axis=axis)).all(axis=axis, keepdims=True)
                constant[choice].append((slot, same))
        return constant

    def canonical(self, population: Population) -> Population:
        """Set every choice that changes nothing to its first option, so that equal plans become equal rows."""
        rows = population.copy()
        while True:
            before = rows.copy()
            for choice in range(len(self.n_options)):
                inactive = np.ones(len(rows), bool)
                for slot, same in self._constant[choice]:
                    scope = self.depends[slot]
                    inactive &= same[tuple(0 if other == choice else rows[:, other] for other in scope)]
                rows[inactive, choice] = 0
            if np.array_equal(rows, before):
                return rows

    def count(self) -> int:
        """Return the exact number of canonical architectures."""
        factors = []
        for choice, n in enumerate(self.n_options):
            constant = self._constant[choice]
            first = Factor((choice,), np.arange(n) == 0)
            if any(not same.any() for _, same in constant):  # some block always shows this choice
                factors.append(Factor((choice,), np.ones(n, bool)))
                continue
            shown = [
                Factor(self.depends[slot], ~same.repeat(n, self.depends[slot].index(choice))) for slot, same in constant
            ]
            factors.append(elimination.join([first, *shown], np.logical_or))
        return elimination.count(factors)


def _grouped(factors: Sequence[Factor]) -> list[Factor]:
    """Add up factors whose joint table stays small enough for the cache: fewer look-ups an architecture."""
    groups: list[Factor] = []
    for factor in sorted(factors, key=lambda f: (f.choices, f.values.size)):
        sizes = dict(zip(factor.choices, factor.values.shape, strict=True))
        for i, group in enumerate(groups):
            union = dict(zip(group.choices, group.values.shape, strict=True)) | sizes
            if np.prod([float(n) for n in union.values()]) <= _LARGEST_GROUP:
                groups[i] = elimination.join([group, factor], np.add)
                break
        else:
            groups.append(factor)
    return groups


def _lookup(n_options: Sequence[int], groups: Sequence[Factor]) -> Callable[[Population], NDArray[np.float64]]:
    """Return the sum of the groups as a function of a population: one matrix product gives all flat indices."""
    flat = [np.ascontiguousarray(group.values, dtype=np.float64).reshape(-1) for group in groups]
    strides = np.zeros((len(n_options), len(groups)), np.float32)  # exact: every index is below 2^24
    for column, group in enumerate(groups):
        step = 1
        for choice, n in reversed(list(zip(group.choices, group.values.shape, strict=True))):
            strides[choice, column] = step
            step *= n

    def total(population: Population) -> NDArray[np.float64]:
        out = np.zeros(len(population))
        for start in range(0, len(population), _ROWS_A_CHUNK):
            rows = population[start : start + _ROWS_A_CHUNK].astype(np.float32)
            indices = (rows @ strides).astype(np.intp).T
            for values, index in zip(flat, indices, strict=True):
                out[start : start + _ROWS_A_CHUNK] += values[index]
        return out

    return total


_ROWS_A_CHUNK = 1 << 13
