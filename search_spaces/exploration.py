"""Which choices decide each block of a plan, and which block each combination of their options gives.

The dependences are found by changing one choice at a time, the blocks by calling the plan for each combination. What
the changes did not show, because it needs several choices at once, comes to light where two plans contradict a table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.block import Block

Row = tuple[int, ...]
"""Option numbers of one architecture."""

PlanFunction = Callable[[Sequence[int]], Mapping[str, Block]]
"""Option numbers of one architecture -> its plan."""

Tables = dict[str, tuple[Row, NDArray[np.int64]]]
"""For each slot: the choices that decide its block, and over their options the block's number, -1 where absent."""

_ABSENT, _UNKNOWN = -1, -2
_N_PROBES = 10
_N_CHECKS = 1 << 10
_LARGEST_SLOT = 1 << 22


def explore(n_options: Row, plan: PlanFunction) -> tuple[tuple[Block, ...], Tables]:
    """Return the distinct blocks of all plans, and each slot's table of their numbers.

    A dependence that shows in less than one of a thousand architectures, none of them near the first ones looked at,
    can be missed.

    Raises:
        ValueError: the plan differs from call to call, or one of its blocks depends on too many choices.
    """
    exploration = _Exploration(n_options, plan)
    tables = exploration.tables()
    return tuple(exploration.ids), tables


def some_rows(n_options: Row, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return option numbers (N, choices): of every architecture of a small space, of random ones of a large space."""
    if np.prod([float(n) for n in n_options]) <= _N_CHECKS:
        return np.indices(n_options).reshape(len(n_options), -1).T
    return rng.integers(n_options, size=(_N_CHECKS, len(n_options)))


class _Exploration:
    """Finds out which choices decide each slot's block, by calling the plan on as few architectures as show it."""

    def __init__(self, n_options: Row, plan: PlanFunction) -> None:
        self.ids: dict[Block, int] = {}
        self._n_options = n_options
        self._plan = plan
        self._seen: dict[Row, dict[str, int]] = {}
        self._depends: dict[str, set[int]] = {}
        self._rng = np.random.default_rng(0)

    def tables(self) -> Tables:
        self._probe()
        while (tables := self._tabulate()) is None:
            pass  # each round found a slot or a dependence that nothing before had shown, and there are finitely many
        return tables

    def _look(self, row: Row) -> dict[str, int]:
        plan = {slot: self.ids.setdefault(block, len(self.ids)) for slot, block in self._plan(row).items()}
        if self._seen.setdefault(row, plan) != plan:
            raise ValueError(f"the plan of options {list(row)} differs from call to call: they alone may decide it")
        for slot in plan:
            self._depends.setdefault(slot, set())
        return plan

    def _random_row(self) -> Row:
        return tuple(int(self._rng.integers(n)) for n in self._n_options)

    def _probe(self) -> None:
        """Find the slots and most of their dependences: change each choice of a few architectures to each option."""
        bases = [tuple(n - 1 for n in self._n_options), (0,) * len(self._n_options)]
        for base in bases + [self._random_row() for _ in range(_N_PROBES)]:
            before = self._look(base)
            for choice, n in enumerate(self._n_options):
                for option in set(range(n)) - {base[choice]}:
                    after = self._look(_changed(base, choice, option))
                    for slot in before.keys() | after.keys():
                        if before.get(slot) != after.get(slot):
                            self._depends[slot].add(choice)

    def _tabulate(self) -> Tables | None:
        """Fill each slot's table; None when a plan shows a new slot, or contradicts another by a new dependence."""
        scopes = {slot: tuple(sorted(choices)) for slot, choices in self._depends.items()}
        shapes = {slot: tuple(self._n_options[choice] for choice in scope) for slot, scope in scopes.items()}
        for slot, shape in shapes.items():
            if np.prod([float(n) for n in shape]) > _LARGEST_SLOT:
                raise ValueError(f"block {slot!r} depends on too many choices to tabulate: {shape} options")
        tables = {slot: np.full(shape, _UNKNOWN) for slot, shape in shapes.items()}
        origin: dict[tuple[str, Row], Row] = {}
        for row, plan in self._plans(scopes, tables):
            if plan.keys() - tables.keys():
                return None
            for slot, scope in scopes.items():
                entry = tuple(row[choice] for choice in scope)
                block = plan.get(slot, _ABSENT)
                if tables[slot][entry] == _UNKNOWN:
                    tables[slot][entry], origin[slot, entry] = block, row
                elif tables[slot][entry] != block:
                    self._depends[slot].add(self._missing_dependence(slot, origin[slot, entry], row))
                    return None
        return {slot: (scopes[slot], table) for slot, table in tables.items()}

    def _plans(
        self, scopes: Mapping[str, Row], tables: Mapping[str, NDArray[np.int64]]
    ) -> Iterator[tuple[Row, dict[str, int]]]:
        """Yield the plans seen so far, then what the tables lack, then some at random (in a small space, all)."""
        yield from list(self._seen.items())
        for slot in sorted(tables, key=lambda slot: -tables[slot].size):
            for entry in np.ndindex(tables[slot].shape):
                if tables[slot][entry] == _UNKNOWN:
                    row = self._random_row()
                    for choice, option in zip(scopes[slot], entry, strict=True):
                        row = _changed(row, choice, option)
                    yield row, self._look(row)
        for options in some_rows(self._n_options, self._rng).tolist():
            yield tuple(options), self._look(tuple(options))

    def _missing_dependence(self, slot: str, start: Row, end: Row) -> int:
        """Walk from one architecture to another, a choice at a time, to the step that changes the slot's block."""
        row, block = start, self._seen[start].get(slot)
        for choice, option in enumerate(end):
            row = _changed(row, choice, option)
            if self._look(row).get(slot) != block:
                return choice
        raise AssertionError("the two ends differ in this slot")


def _changed(row: Row, choice: int, option: int) -> Row:
    return (*row[:choice], option, *row[choice + 1 :])
