"""Which choices decide each block of a plan, and which block each combination of their options gives.

The dependences are found by changing one choice at a time, the blocks by calling the plan for each combination. What
the changes did not show, because it needs several choices at once, comes to light in a small space by looking at all
plans, in a larger one where two plans contradict a table.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.block import Block

Row = tuple[int, ...]
"""Option numbers of one architecture."""

PlanFunction = Callable[[Sequence[int]], Mapping[str, Block]]
"""Option numbers of one architecture -> its plan."""

Tables = dict[str, tuple[Row, NDArray[np.int64]]]
"""For each slot: the choices that decide its block, and over their options the block's number, -1 where absent."""

_ABSENT = -1
_FEW_ARCHITECTURES = 1 << 14
_N_PROBES = 10
_N_CHECKS = 1 << 10
_LARGEST_SLOT = 1 << 22


def explore(n_options: Row, plan: PlanFunction) -> tuple[tuple[Block, ...], Tables]:
    """Return the distinct blocks of all plans, and each slot's table of their numbers.

    Exact for up to 2^14 architectures. Among more, a dependence that shows in less than one of a thousand, none of
    them near the first ones looked at, can be missed.

    Raises:
        ValueError: the plan differs from call to call, or one of its blocks depends on too many choices.
    """
    exploration = _Exploration(n_options, plan)
    tables = exploration.tables()
    return tuple(exploration.ids), tables


def some_rows(n_options: Row, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return option numbers (N, choices): of every architecture of a small space, of random ones of a large space."""
    if n_combinations(n_options) <= _N_CHECKS:
        return rng.permutation(_all_rows(n_options))
    return rng.integers(n_options, size=(_N_CHECKS, len(n_options)))


def n_combinations(sizes: Iterable[int]) -> int:
    """Return how many combinations there are of one option of each choice."""
    return math.prod(int(size) for size in sizes)


def _all_rows(n_options: Row) -> NDArray[np.int64]:
    return np.indices(n_options).reshape(len(n_options), -1).T


class _Exploration:
    """Finds out which choices decide each slot's block, by calling the plan on as few architectures as show it.

    Slots are known by their columns: numbers in the order in which they are met.
    """

    def __init__(self, n_options: Row, plan: PlanFunction) -> None:
        self.ids: dict[Block, int] = {}
        self._n_options = n_options
        self._plan = plan
        self._columns: dict[str, int] = {}
        self._depends: list[set[int]] = []
        self._seen: dict[Row, NDArray[np.int32]] = {}  # block numbers of the columns known when it was looked at
        self._rng = np.random.default_rng(0)

    def tables(self) -> Tables:
        self._probe()
        if n_combinations(self._n_options) <= _FEW_ARCHITECTURES:
            self._enumerate()
        while True:  # each round finds a slot or a dependence that nothing before had shown: there are finitely many
            self._complete()
            self._look_at(some_rows(self._n_options, self._rng))
            if (tables := self._tabulate()) is not None:
                return tables

    def _look(self, row: Row) -> NDArray[np.int32]:
        """Return the numbers of a plan's blocks, by column, -1 where there is none."""
        plan = self._plan(row)
        blocks = [self.ids.setdefault(block, len(self.ids)) for block in plan.values()]
        columns = [self._columns.setdefault(slot, len(self._columns)) for slot in plan]
        self._depends += [set() for _ in range(len(self._columns) - len(self._depends))]
        found = np.full(len(self._columns), _ABSENT, np.int32)
        found[columns] = blocks
        if (before := self._seen.get(row)) is not None and not np.array_equal(_widened(before, len(found)), found):
            raise ValueError(f"the plan of options {list(row)} differs from call to call: they alone may decide it")
        self._seen[row] = found
        return found

    def _look_at(self, rows: NDArray[np.integer]) -> None:
        for row in rows.tolist():
            self._look(tuple(row))

    def _enumerate(self) -> None:
        """Look at every architecture, and see exactly where each choice changes something."""
        self._look_at(_all_rows(self._n_options))
        choices = tuple(range(len(self._n_options)))
        in_order = self._entries(choices, np.array(list(self._seen))).argsort()
        found = self._found()[in_order].reshape(*self._n_options, len(self._columns))
        for choice in choices:
            changes = (found != found.take([0], axis=choice)).any(axis=choices)
            for column in np.flatnonzero(changes):
                self._depends[column].add(choice)

    def _probe(self) -> None:
        """Find the slots and most of their dependences: change each choice of a few architectures to each option."""
        bases = [tuple(n - 1 for n in self._n_options), (0,) * len(self._n_options)]
        bases += [tuple(row) for row in self._random_rows(_N_PROBES).tolist()]
        for base in bases:
            self._look(base)
            for choice, n in enumerate(self._n_options):
                for option in set(range(n)) - {base[choice]}:
                    after = self._look(_changed(base, choice, option))
                    before = _widened(self._seen[base], len(after))
                    for column in np.flatnonzero(before != after):
                        self._depends[column].add(choice)

    def _complete(self) -> None:
        """Look at architectures until each combination of the options that decide a block has been seen."""
        for scope, shape in self._scopes():
            seen = self._entries(scope, np.array(list(self._seen)))
            lacking = np.setdiff1d(np.arange(n_combinations(shape)), seen)
            if len(lacking):
                rows = self._random_rows(len(lacking))
                rows[:, scope] = np.column_stack(np.unravel_index(lacking, shape))
                self._look_at(rows)

    def _tabulate(self) -> Tables | None:
        """Fill each slot's table from all that was seen; None when two plans contradict each other, or one is new."""
        rows, found = np.array(list(self._seen)), self._found()
        tables: dict[int, tuple[Row, NDArray[np.int64]]] = {}
        contradictions: list[tuple[int, Row, Row]] = []
        for scope, shape in self._scopes():
            columns = [column for column, choices in enumerate(self._depends) if choices == set(scope)]
            known, first, place = np.unique(self._entries(scope, rows), return_index=True, return_inverse=True)
            if len(known) < n_combinations(shape):
                return None
            content = found[first][:, columns]
            wrong = content[place] != found[:, columns]
            for number in np.flatnonzero(wrong.any(axis=0)):
                later = int(wrong[:, number].argmax())
                start, end = (tuple(rows[i].tolist()) for i in (first[place[later]], later))
                contradictions.append((columns[number], start, end))
            for column, table in zip(columns, content.T, strict=True):
                tables[column] = (scope, table.reshape(shape).astype(np.int64))
        for column, start, end in contradictions:
            self._depends[column].add(self._missing_dependence(column, start, end))
        return None if contradictions else {slot: tables[column] for slot, column in self._columns.items()}

    def _scopes(self) -> list[tuple[Row, Row]]:
        """Return the distinct sets of choices that decide a slot, with their numbers of options, the largest first."""
        scopes = {tuple(sorted(choices)): slot for slot, choices in zip(self._columns, self._depends, strict=True)}
        shapes = {scope: tuple(self._n_options[choice] for choice in scope) for scope in scopes}
        for scope, shape in shapes.items():
            if n_combinations(shape) > _LARGEST_SLOT:
                raise ValueError(f"block {scopes[scope]!r} depends on too many choices to tabulate: {shape} options")
        return sorted(shapes.items(), key=lambda item: -n_combinations(item[1]))

    def _entries(self, scope: Row, rows: NDArray[np.integer]) -> NDArray[np.intp]:
        """Return (N,): the places of architectures in a table over some choices."""
        if not scope:
            return np.zeros(len(rows), np.intp)
        entries: NDArray[np.intp] = np.ravel_multi_index(
            tuple(rows[:, scope].T), [self._n_options[choice] for choice in scope]
        )
        return entries

    def _found(self) -> NDArray[np.int32]:
        """Return (architectures seen, columns): block numbers."""
        found = np.full((len(self._seen), len(self._columns)), _ABSENT, np.int32)
        for line, blocks in zip(found, self._seen.values(), strict=True):
            line[: len(blocks)] = blocks
        return found

    def _random_rows(self, n: int) -> NDArray[np.int64]:
        return self._rng.integers(self._n_options, size=(n, len(self._n_options)))

    def _missing_dependence(self, column: int, start: Row, end: Row) -> int:
        """Walk from one architecture to another, a choice at a time, to the step that changes the slot's block."""
        row, block = start, self._look(start)[column]
        for choice, option in enumerate(end):
            row = _changed(row, choice, option)
            if self._look(row)[column] != block:
                return choice
        raise AssertionError("the two ends differ in this slot")


def _changed(row: Row, choice: int, option: int) -> Row:
    return (*row[:choice], option, *row[choice + 1 :])


def _widened(found: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Return block numbers with the columns that were unknown when they were found."""
    return np.pad(found, (0, n - len(found)), constant_values=_ABSENT)
