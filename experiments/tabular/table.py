"""A table of results, one column a choice and one a metric, as a search space and its evaluator."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from nas.evaluation.evaluator import Evaluator, Metrics
from search_spaces import InputError, SearchSpace
from search_spaces.block import Block
from search_spaces.cell_graph import CellGraph
from search_spaces.errors import unknown
from search_spaces.plan_index import Population
from search_spaces.space import Choice


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
        """The number of rows of a complete table."""
        return int(np.prod(self.n_options))

    def canonical(self, population: Population) -> Population:
        return population

    def active(self, population: Population) -> Population:
        return population if self.cell is None else np.asarray(self.cell.live(population))

    def features(self, population: Population) -> NDArray[np.float64]:
        """Return what a cell computes; nothing if the table is of no cells."""
        return np.empty((len(population), 0)) if self.cell is None else self.cell.features(population)


class Table(Evaluator):
    """The results of all architectures of a space, looked up.

    Attributes:
        metrics: the names of the columns of results.
        rows: every architecture, (N, choices).
        results: the metrics of every architecture, (N,) each.
    """

    batch_size = 1 << 16

    def __init__(self, space: TableSpace, rows: Population, results: Metrics) -> None:
        if len(np.unique(rows, axis=0)) < space.size:
            raise InputError(
                f"the table has {len(rows)} rows for {space.size} architectures: every one must be there to be searched"
            )
        self.space = space
        self.rows = rows
        self.results = results
        self.metrics = tuple(results)
        self._place = np.empty(space.size, np.int64)
        self._place[np.ravel_multi_index(tuple(rows.T), tuple(space.n_options))] = np.arange(len(rows))

    def evaluate(self, population: Population) -> Metrics:
        places = self.places(population)
        return {name: values[places] for name, values in self.results.items()}

    def places(self, population: Population) -> NDArray[np.int64]:
        """Return the places in the table (n,) of architectures (n, choices)."""
        places: NDArray[np.int64] = self._place[np.ravel_multi_index(tuple(population.T), tuple(self.space.n_options))]
        return places


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
        InputError: a file or a column is missing, or architectures are.
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
