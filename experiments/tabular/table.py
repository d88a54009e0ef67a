"""A table of results, one column a choice and one a metric, as a search space and its evaluator."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from nas.evaluation.evaluator import Evaluator, Metrics
from nas.objectives import FeasibleRegion
from search_spaces import InputError, SearchSpace
from search_spaces.block import Block
from search_spaces.cell_graph import CellGraph
from search_spaces.errors import unknown
from search_spaces.plan_index import Population
from search_spaces.space import Choice

_NEAREST = 10


@dataclass(frozen=True, config={"extra": "forbid"})
class TableSpace(SearchSpace):
    """The architectures of a table: every row is one of its own, equal networks under two names among them.

    Attributes:
        columns: the options of each choice, by name.
        cell: what the choices mean if they are the edges of a cell; for features alone.
    """

    name: ClassVar[str] = "table"

    columns: dict[str, tuple[int, ...]]
    cell: CellGraph | None = field(default=None)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """One choice a column."""
        return tuple(Choice(name, options) for name, options in self.columns.items())

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Refuse: a table holds results, not networks."""
        raise InputError("a table of results holds no networks to build")

    @cached_property
    def size(self) -> int:
        """The number of rows of a complete table, exactly."""
        return math.prod(self.n_options.tolist())

    def canonical(self, population: Population) -> Population:
        return population

    def active(self, population: Population) -> Population:
        return population if self.cell is None else np.asarray(self.cell.live(population))

    def features(self, population: Population) -> NDArray[np.float64]:
        """Return what a cell computes; nothing if the table is of no cells."""
        return np.empty((len(population), 0)) if self.cell is None else self.cell.features(population)

    def sequences(self, population: Population) -> NDArray[np.float64]:
        """Return the sequences of a cell's operations; nothing if the table is of no cells."""
        return np.empty((len(population), 0)) if self.cell is None else self.cell.sequences(population)


class Table(Evaluator):
    """The results of architectures of a space, looked up: of all of them, or of as many as were ever measured.

    Attributes:
        metrics: the names of the columns of results.
        rows: the architectures, (N, choices), each once.
        results: the metrics of every architecture, (N,) each.

    Raises:
        InputError: an architecture is there twice, or a result is missing.
    """

    batch_size = 1 << 16

    def __init__(self, space: TableSpace, rows: Population, results: Metrics) -> None:
        self.space = space
        self.rows = rows
        self.results = results
        self.metrics = tuple(results)
        self._keys, first = np.unique(_keys(rows), return_index=True)
        self._places = first
        if len(first) < len(rows):
            twice = np.setdiff1d(np.arange(len(rows)), first)[0]
            raise InputError(f"the table has architecture {rows[twice].tolist()} twice: leave one row out")
        for name, values in results.items():
            if not np.isfinite(values).all():
                raise InputError(f"column {name} has no value in row {np.flatnonzero(~np.isfinite(values))[0]}")

    @property
    def region(self) -> FeasibleRegion:
        """What a search may ask: the whole space if the table has all of it, else the rows that are there."""
        return FeasibleRegion(self.space) if len(self.rows) == self.space.size else TableRegion(self)

    def evaluate(self, population: Population) -> Metrics:
        places = self.places(population)
        return {name: values[places] for name, values in self.results.items()}

    def contains(self, population: Population) -> NDArray[np.bool_]:
        """Return (n,): whether the table has architectures (n, choices)."""
        return np.asarray(np.isin(_keys(population), self._keys))

    def places(self, population: Population) -> NDArray[np.int64]:
        """Return the places in the table (n,) of architectures (n, choices) that are there."""
        return np.asarray(self._places[np.searchsorted(self._keys, _keys(population))])


class TableRegion(FeasibleRegion):
    """The rows of an incomplete table.

    Where next to none of all architectures were measured, no mutant of one is there: what a strategy breeds is
    replaced by one of the rows nearest to it, so that children still resemble their parents.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        super().__init__(table.space)
        self._one_hot = table.space.one_hot(table.rows)

    def contains(self, population: Population) -> NDArray[np.bool_]:
        return self._table.contains(population)

    def sample(self, n: int, rng: np.random.Generator) -> Population:
        """Return n rows, none twice if the table has so many."""
        return self._table.rows[rng.choice(len(self._table.rows), n, replace=n > len(self._table.rows))]

    def breed(self, n: int, children: Callable[[int], Population], rng: np.random.Generator) -> Population:
        """Return for each of n children that is not in the table one of the ten rows that differ from it least."""
        bred = children(n)[:n]
        absent = np.flatnonzero(~self.contains(bred))
        agreeing = self.space.one_hot(bred[absent]) @ self._one_hot.T
        nearest = np.argpartition(-agreeing, min(_NEAREST, len(self._one_hot) - 1), axis=1)[:, :_NEAREST]
        drawn = nearest[np.arange(len(absent)), rng.integers(nearest.shape[1], size=len(absent))]
        bred[absent] = self._table.rows[drawn]
        return bred


def _keys(population: Population) -> NDArray[np.void]:
    """Return a value (n,) for each row that is equal for equal rows, and can be sorted."""
    rows = np.ascontiguousarray(population, np.int64)
    return rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]


def read_table(
    files: Sequence[Path],
    choices: Sequence[str],
    metrics: Sequence[str],
    *,
    key: str = "index",
    cell: CellGraph | None = None,
) -> Table:
    """Read Parquet files, joined by a key column, the choices from the first.

    Raises:
        InputError: a file, a column or a result is missing, or an architecture is there twice.
    """
    columns: dict[str, NDArray[Any]] = {}
    for file in files:
        if not file.is_file():
            raise InputError(f"{file} does not exist: expected a Parquet file with a column {key}")
        read = {name: column.to_numpy() for name, column in _columns(file).items()}
        if key not in read:
            raise unknown(f"column of {file.name}", key, read)
        order = np.argsort(read[key], kind="stable")
        if columns and not np.array_equal(read[key][order], columns[key]):
            raise InputError(f"{file} has other values of {key} than {files[0]}: they are not about the same rows")
        columns = {name: values[order] for name, values in read.items()} | columns
    for name in (*choices, *metrics):
        if name not in columns:
            raise unknown("column", name, columns)
    options, numbers = zip(*(np.unique(columns[name], return_inverse=True) for name in choices), strict=True)
    space = TableSpace({name: tuple(values.tolist()) for name, values in zip(choices, options, strict=True)}, cell)
    return Table(space, np.stack(numbers, axis=1), {name: columns[name].astype(np.float64) for name in metrics})


def _columns(file: Path) -> dict[str, Any]:
    table = pq.read_table(file)
    return {name: table.column(name) for name in table.column_names}
