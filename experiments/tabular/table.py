"""A table of results, one column a choice and one a metric, as a search space and its evaluator."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
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
from search_spaces.space import Choice, Option

Columns = dict[str, "pa.ChunkedArray"]
"""What files hold, by the names of the columns: as many rows each."""

_NEAREST = 10

_MEASURED = (pa.types.is_integer, pa.types.is_floating)
_CHOSEN = (*_MEASURED, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)


@dataclass(frozen=True, config={"extra": "forbid"})
class TableSpace(SearchSpace):
    """The architectures of a table: every row is one of its own, equal networks under two names among them.

    Attributes:
        columns: the options of each choice, by name.
        cell: what the choices mean if they are the edges of a cell; for features alone.
    """

    name: ClassVar[str] = "table"

    columns: dict[str, tuple[Option, ...]]
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
        metrics: the names of the columns of results; NaN of architectures that the table lacks.
        rows: the architectures, (N, choices), each once.
        results: the metrics of every architecture, (N,) each.
    """

    batch_size = 1 << 16

    def __init__(self, space: TableSpace, rows: Population, results: Metrics) -> None:
        self.space = space
        self.rows = rows
        self.results = results
        self.metrics = tuple(results)
        self._keys, self._places = np.unique(_keys(rows), return_index=True)

    @property
    def region(self) -> FeasibleRegion:
        """What a search may ask: the whole space if the table has all of it, else the rows that are there."""
        return FeasibleRegion(self.space) if len(self.rows) == self.space.size else TableRegion(self)

    def evaluate(self, population: Population) -> Metrics:
        places, there = self._found(population)
        return {name: np.where(there, values[places], np.nan) for name, values in self.results.items()}

    def contains(self, population: Population) -> NDArray[np.bool_]:
        """Return (n,): whether the table has architectures (n, choices)."""
        return self._found(population)[1]

    def places(self, population: Population) -> NDArray[np.int64]:
        """Return the places in the table (n,) of architectures (n, choices).

        Raises:
            InputError: an architecture is not there.
        """
        places, there = self._found(population)
        if not there.all():
            raise InputError(f"the table has no architecture {population[~there][0].tolist()}")
        return places

    def _found(self, population: Population) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the places (n,) of architectures (n, choices), and whether they are there; if not, places are any."""
        keys = _keys(population)
        nearest = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.asarray(self._places[nearest]), np.asarray(self._keys[nearest] == keys)


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


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Where a table is and what its columns are: little, so that processes are told it and read the table themselves.

    Attributes:
        files: Parquet files, the choices in the first.
        choices: columns, one a choice. Numbers are options in their order, text is categories.
        categories: those of the choices whose numbers are codes that have no order.
        names: what the codes 0, 1 and so on in these stand for; empty: each code's digits are its name.
        key: the column that files are joined by, if there are several.
        cell: what the choices mean if they are the edges of a cell.

    Raises:
        InputError: two files have one name, or a choice is there twice.
    """

    files: tuple[Path, ...]
    choices: tuple[str, ...]
    categories: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    key: str = "index"
    cell: CellGraph | None = None

    def __post_init__(self) -> None:
        for kind, names in (("file", [file.name for file in self.files]), ("choice", [*self.choices])):
            if twice := [name for i, name in enumerate(names) if name in names[:i]]:
                raise InputError(f"{kind} {twice[0]} is given twice: expected each {kind} under a name of its own")

    @property
    def name(self) -> str:
        """The names of the files."""
        return " and ".join(file.name for file in self.files)

    def columns(self) -> list[str]:
        """Return the names of all columns but the choices and the key.

        Raises:
            InputError: a file is missing, or no Parquet file.
        """
        named = dict.fromkeys(name for file in self.files for name in _parquet(file).schema_arrow.names)
        return [name for name in named if name not in (self.key, *self.choices)]


def read_table(benchmark: Benchmark, metrics: Sequence[str]) -> Table:
    """Read the table of a benchmark, with some of its columns as metrics.

    Raises:
        InputError: a file, a column or a value is missing, there are no rows, an architecture is there twice, or files
            that are joined do not tell which of their rows belong together or what a column holds.
    """
    columns = _joined(benchmark, metrics)
    for name in (*benchmark.choices, *benchmark.categories, *metrics):
        if name not in columns:
            raise unknown("column", name, columns)
    for name in benchmark.categories:
        if name not in benchmark.choices:
            raise unknown("choice among the categories", name, benchmark.choices)
    if not all(len(column) for column in columns.values()):
        raise InputError(f"{benchmark.name} has no rows: expected one for each architecture")
    options, codes = {}, []
    for name in benchmark.choices:
        values, numbers = np.unique(_values(benchmark, columns, name, _CHOSEN, "numbers or text"), return_inverse=True)
        options[name] = _options(benchmark, name, values.tolist())
        codes.append(numbers)
    rows = np.stack(codes, axis=1)
    _require_distinct(benchmark, columns, rows)
    measured = {name: _values(benchmark, columns, name, _MEASURED, "numbers") for name in metrics}
    results = {name: np.asarray(values, np.float64) for name, values in measured.items()}
    return Table(TableSpace(options, benchmark.cell), rows, results)


def _values(
    benchmark: Benchmark, columns: Columns, name: str, kinds: Sequence[Callable[[pa.DataType], bool]], expected: str
) -> NDArray[Any]:
    """Return the values (N,) of a column of one of these kinds of types, none of them missing or infinite."""
    column = columns[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_kind(kind) for is_kind in kinds):
        raise InputError(f"column {name} holds {column.type}: expected {expected}")
    missing = column.is_null(nan_is_null=True).to_numpy()
    values: NDArray[Any] = column.to_numpy()
    bad = missing if missing.any() or values.dtype.kind != "f" else np.isinf(values)
    if bad.any():
        place = int(bad.argmax())
        told = "no value" if missing.any() else f"{values[place]:g}"
        where = _places(benchmark, columns, place)
        raise InputError(f"column {name} has {told} in {where}: put a finite value there, or leave the row out")
    return values


def _require_distinct(benchmark: Benchmark, columns: Columns, rows: Population) -> None:
    """Raise if two of the rows (N, choices) are equal."""
    _, first, numbers = np.unique(_keys(rows), return_index=True, return_inverse=True)
    if len(first) < len(rows):
        second = int(np.setdiff1d(np.arange(len(rows)), first)[0])
        found = _places(benchmark, columns, int(first[numbers[second]]), second)
        told = ", ".join(f"{name} = {columns[name][second].as_py()}" for name in benchmark.choices)
        raise InputError(
            f"{found} hold one architecture, {told}: leave one out, or name the column that tells them apart "
            "among the choices"
        )


def _places(benchmark: Benchmark, columns: Columns, *places: int) -> str:
    """Return what a person finds rows by: the key if several files are joined by it, else their numbers, from 0."""
    if len(benchmark.files) > 1:
        return " and ".join(f"the row of {benchmark.key} {columns[benchmark.key][place]}" for place in places)
    return f"{'rows' if places[1:] else 'row'} {' and '.join(map(str, places))} (from 0)"


def _joined(benchmark: Benchmark, metrics: Sequence[str]) -> Columns:
    """Return the columns of all files, their rows in the order of the key if there are several files.

    Choices and metrics that several files have are the same in each; of other columns the first file's are returned.
    """
    if len(benchmark.files) == 1:
        return read_columns(benchmark.files[0])
    columns: Columns = {}
    key, keys = benchmark.key, None
    for file in benchmark.files:
        read = read_columns(file)
        if key not in read:
            raise unknown(f"column of {file.name}", key, read)
        values = read[key].to_numpy()
        order = np.argsort(values, kind="stable")
        keys = values[order] if keys is None else keys
        if not np.array_equal(values[order], keys):
            other = benchmark.files[0]
            raise InputError(f"{file} has other values of {key} than {other}: they are not about the same rows")
        if (again := keys[1:][keys[1:] == keys[:-1]]).size:
            raise InputError(f"{file} has {key} {again[0]} twice: expected each once, or a --key that tells rows apart")
        ordered = {name: values.take(order) for name, values in read.items()}
        for name in (*benchmark.choices, *metrics):
            if name in ordered and name in columns and not ordered[name].equals(columns[name]):
                raise InputError(
                    f"column {name} of {file} differs from that of a file before it: rename one, or leave one out"
                )
        columns = ordered | columns
    return columns


def _options(benchmark: Benchmark, choice: str, values: Sequence[Any]) -> tuple[Option, ...]:
    """Return the options that the values of a choice, each once and in order, stand for."""
    if choice not in benchmark.categories:
        return tuple(values)
    if not benchmark.names:
        return tuple(map(str, values))
    for value in values:
        if value not in range(len(benchmark.names)):
            raise unknown(f"code in column {choice}", value, range(len(benchmark.names)))
    return tuple(benchmark.names[int(value)] for value in values)


def read_columns(file: Path, wanted: Sequence[str] | None = None) -> Columns:
    """Return the columns of a Parquet file, by name: those that are wanted, or all.

    Raises:
        InputError: the file is missing, or no Parquet file, or lacks a column that is wanted.
    """
    parquet = _parquet(file)
    for name in wanted or ():
        if name not in parquet.schema_arrow.names:
            raise unknown(f"column of {file.name}", name, parquet.schema_arrow.names)
    table = parquet.read(columns=wanted)
    return {name: table.column(name) for name in wanted or table.column_names}


def _parquet(file: Path) -> "pq.ParquetFile":
    if file.is_dir():
        raise InputError(f"{file} is a folder: expected a Parquet file, such as one in it")
    if not file.is_file():
        raise InputError(f"{file} does not exist: expected a Parquet file")
    try:
        return pq.ParquetFile(file)
    except pa.ArrowInvalid:
        raise InputError(
            f"{file} is no Parquet file: expected a table with a column for each choice and metric"
        ) from None
