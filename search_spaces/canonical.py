"""One architecture for each distinct plan: what changes nothing is set to its first option, and the rest counted.

Tables say what an architecture shows, each over a few choices: here its blocks, by number. An architecture's place in
a table is an entry. To set a choice to another option and show the same, each table that depends on the choice must
have an entry to move to: of that option, of equal content, and of the options that were set before. The choices behind
it are free, as they are set afterwards. What several tables allow one by one they may still exclude together, which a
single one cannot: so tables that hang together are joined where the joint one stays small.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces import elimination
from search_spaces.elimination import Factor
from search_spaces.exploration import n_combinations, some_rows

_LARGEST_JOINED = 1 << 17


class CanonicalForm:
    """Maps architectures that show the same to the first of them, in the order of choices and options.

    Args:
        n_options: number of options of each choice.
        tables: what architectures show.
    """

    def __init__(self, n_options: Sequence[int], tables: Sequence[Factor]) -> None:
        self.n_options = tuple(n_options)
        self._contents = [_Content(table) for table in _joined(tables)]
        self._rivals = self._find_rivals()
        self._steps = self._find_steps()

    def of(self, rows: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the canonical forms of architectures (N, choices), as option numbers.

        Raises:
            ValueError: tables that allow an option one by one exclude it together.
        """
        rows = rows.copy()
        entries = {content: content.entries(rows) for content in {c for _, contents in self._steps for c in contents}}
        for choice, contents in self._steps:
            possible = np.ones((len(rows), self.n_options[choice]), bool)
            for content in contents:
                possible &= content.moves[choice][entries[content]] >= 0
            if not possible.any(axis=1).all():
                raise ValueError(f"the blocks that depend on choice {choice} are too entangled for a canonical form")
            rows[:, choice] = first = possible.argmax(axis=1)
            for content in contents:
                entries[content] = content.moves[choice][entries[content], first]
        return rows

    def count(self) -> int:
        """Return the exact number of canonical architectures.

        Raises:
            ValueError: as for `of`, or too many choices must be looked at together.
        """
        self.of(some_rows(self.n_options, np.random.default_rng(0)))
        anything = [Factor((choice,), np.ones(n, bool)) for choice, n in enumerate(self.n_options)]
        needed = [elimination.join(shown, np.logical_or) for shown in self._rivals.values()]
        return elimination.count([*anything, *needed])

    def _depending_on(self, choice: int) -> list["_Content"]:
        return [content for content in self._contents if choice in content.moves]

    def _find_rivals(self) -> dict[tuple[int, int], list[Factor]]:
        """Return the options that can stand for a later one of their choice, and where, table by table, they cannot."""
        rivals = {}
        for choice, n in enumerate(self.n_options):
            for option in range(n - 1):
                not_later = Factor((choice,), np.arange(n) <= option)
                contents = [c for c in self._depending_on(choice) if (c.moves[choice][:, option] < 0).any()]
                shown = [content.shown(choice, option) for content in contents]
                if not any(factor.values.all() for factor in shown):
                    rivals[choice, option] = [not_later, *shown]
        return rivals

    def _find_steps(self) -> list[tuple[int, list["_Content"]]]:
        """Return the choices to be set, with their tables: all others stay as they are."""
        steps: list[tuple[int, list[_Content]]] = []
        moved: set[_Content] = set()
        for choice in range(len(self.n_options)):
            contents = self._depending_on(choice)
            if any(choice == rival for rival, _ in self._rivals) or not moved.isdisjoint(contents):
                steps.append((choice, contents))
                moved.update(contents)
        return steps


class _Content:
    """A table, and for each of its choices the entries to move to: (entries, options), -1 where there is none."""

    def __init__(self, table: Factor) -> None:
        self.choices = table.choices
        self.shape = table.values.shape
        self.moves = {choice: _moves_along(table.values, axis) for axis, choice in enumerate(table.choices)}

    def entries(self, rows: NDArray[np.integer]) -> NDArray[np.intp]:
        """Return the entries (N,) of architectures (N, choices)."""
        return np.ravel_multi_index(tuple(rows[:, choice] for choice in self.choices), self.shape)

    def shown(self, choice: int, option: int) -> Factor:
        """Return where there is no move from a later option of a choice to this one."""
        own = np.arange(self.moves[choice].shape[1]).reshape([-1 if c == choice else 1 for c in self.choices])
        return Factor(self.choices, (own <= option) | (self.moves[choice][:, option].reshape(self.shape) < 0))


def _joined(tables: Sequence[Factor]) -> list[Factor]:
    """Join tables so that what they exclude together is seen: smaller into larger, then all that hang together.

    The latter only where the joint table, of every combination of the options of its choices, stays small.
    """
    joined: list[Factor] = []
    for table in sorted(tables, key=lambda table: -len(table.choices)):
        for i, larger in enumerate(joined):
            if set(table.choices) <= set(larger.choices):
                joined[i] = _shown_together([larger, table])
                break
        else:
            joined.append(_numbered(table))
    groups = _hanging_together([table for table in joined if table.choices])
    return [table for group in groups for table in (group if _is_large(group) else [_shown_together(group)])]


def _shown_together(tables: Sequence[Factor]) -> Factor:
    """Return what some tables show as one table over all their choices."""
    together, *others = tables
    for table in others:
        pair = [together, _numbered(table)]
        together = _numbered(elimination.join(pair, lambda a, b: a * (int(b.max()) + 1) + b))
    return together


def _numbered(table: Factor) -> Factor:
    """Number the distinct values of a table from 0."""
    return Factor(table.choices, np.unique(table.values, return_inverse=True)[1].reshape(table.values.shape))


def _hanging_together(tables: Sequence[Factor]) -> list[list[Factor]]:
    """Return the tables in groups, of which no two share a choice."""
    groups: list[list[Factor]] = []
    for table in tables:
        group, apart = [table], []
        for other in groups:
            if any(not set(table.choices).isdisjoint(t.choices) for t in other):
                group += other
            else:
                apart.append(other)
        groups = [*apart, group]
    return groups


def _is_large(tables: Sequence[Factor]) -> bool:
    sizes = {c: n for table in tables for c, n in zip(table.choices, table.values.shape, strict=True)}
    return n_combinations(sizes.values()) > _LARGEST_JOINED


def _moves_along(contents: NDArray[np.generic], axis: int) -> NDArray[np.int64]:
    n_before, n = math.prod(contents.shape[:axis]), contents.shape[axis]
    content = contents.reshape(n_before, n, -1).astype(np.int64)  # (options before, own option, options behind)
    place = (np.arange(n_before)[:, None, None] * n + np.arange(n)[:, None]) * (content.max() + 1)
    known, first = np.unique(place + content, return_index=True)
    wanted = place.transpose(0, 2, 1)[:, None] + content[..., None]  # (before, own, behind, other option)
    found = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    return np.where(known[found] == wanted, first[found], -1).reshape(-1, n)
