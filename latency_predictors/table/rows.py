"""Files with one row a network, and the units of the latencies in them, which such files rarely say."""

import codecs
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.latencies import positive
from search_spaces.errors import InputError, unknown
from search_spaces.storage import each_once

Unit = Literal["us", "ms", "s"]

_MS: Mapping[str, float] = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_SEPARATORS = {"semicolon": b";", "tab": b"\t", "bar": b"|"}
_NAMES = tuple(f"latency_{unit}" for unit in _MS)


def factor_to_ms(unit: str) -> float:
    """Return how many ms a unit is.

    Raises:
        InputError: no such unit.
    """
    if unit not in _MS:
        raise unknown("unit of latency", unit, _MS)
    return _MS[unit]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LatencyColumn:
    """Where latencies stand in a file of rows, and in which unit."""

    name: str | None = Field(
        default=None,
        description=f"column of the latencies; unset: {', '.join(_NAMES)}, whichever a file has",
    )
    unit: Unit | None = Field(default=None, description="us, ms or s; unset: what the name ends in, as latency_ms does")

    def find(self, path: Path, columns: Sequence[str]) -> tuple[str, float]:
        """Return which of a file's columns it is, and how many ms its unit is.

        Raises:
            InputError: there is no such column, or several, or nothing says its unit, or its name says another.
        """
        if self.name is None:
            return self._usual(path, columns)
        if self.name not in columns:
            raise unknown(f"column of {path}", self.name, columns)
        said = self.name.rpartition("_")[2]
        unit = self.unit or said
        if unit not in _MS:
            raise InputError(
                f"column {self.name} of {path} does not say its unit: give --latency.unit us, ms or s "
                f"(--known-latency.unit for known devices), or call it {self.name}_ms"
            )
        if said in _MS and said != unit:
            raise InputError(f"column {self.name} says {said}, not unit {unit}: leave out the unit, or rename it")
        return self.name, _MS[unit]

    def _usual(self, path: Path, columns: Sequence[str]) -> tuple[str, float]:
        found = [(name, factor) for name, factor in zip(_NAMES, _MS.values(), strict=True) if name in columns]
        if len(found) != 1:
            has = " and ".join(name for name, _ in found) or f"no column {' or '.join(_NAMES)}"
            raise InputError(
                f"{path} has {has}: name the column of its latencies with --latency (--known-latency for known devices)"
            )
        if self.unit is not None:
            raise InputError(
                f"unit {self.unit} does nothing where the column says its own, {found[0][0]}: leave it out"
            )
        return found[0]


def read_rows(path: Path) -> pa.Table:
    """Return the rows of a Parquet, CSV or JSON file, the last a list of objects; names of columns without blanks.

    Raises:
        InputError: the file is missing, damaged, or of another kind, or has two columns of one name.
    """
    if path.suffix not in _READERS:
        raise unknown("kind of latency file", path.name, [f"NAME{suffix}" for suffix in _READERS])
    try:
        rows = _READERS[path.suffix](path)
        rows = rows.rename_columns([name.strip() for name in rows.column_names])
        each_once((name, None) for name in rows.column_names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"latencies {path}: {' '.join(str(error).split())}") from None
    return rows


def row_places(path: Path, n: int) -> list[str]:
    """Return where each of the n rows that `read_rows` found in a file stands, as a person finds it, for errors."""
    if path.suffix != ".csv":
        return [f"{path}, row {number}" for number in range(1, n + 1)]
    lines = path.read_bytes().splitlines()
    _, *filled = (number for number, line in enumerate(lines, 1) if line)  # empty lines are no rows
    return [f"{path}, line {number}" for number in filled[:n]]


def read_latencies(rows: pa.Table, column: str, factor: float, places: Sequence[str]) -> NDArray[np.float64]:
    """Return the latencies of rows (n,) in ms.

    Args:
        rows: of a file.
        column: of the latencies.
        factor: how many ms its unit is.
        places: where each row stands, for errors.

    Raises:
        InputError: one is no latency.
    """
    values = [_number(value) for value in rows[column].to_pylist()]
    found = [positive(value, f"{place}: {column} is", factor) for place, value in zip(places, values, strict=True)]
    return np.array(found, dtype=np.float64)


def _number(value: object) -> object:
    """Return the number that a text is; others as they are: one word in a column makes texts of all its numbers."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _read_csv(path: Path) -> pa.Table:
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise ValueError("is encoded as UTF-16: save it as UTF-8")
        file.seek(0)
        header = next((line for line in file if line.strip()), b"").strip()
    if b"," not in header:
        for name, separator in _SEPARATORS.items():
            if separator in header:
                raise ValueError(
                    f"columns are separated by {name}s: separate them by commas, and write decimals with a point"
                )
    as_they_stand = pyarrow.csv.ConvertOptions(null_values=[""])  # such as n/a, which a person is told of
    return pyarrow.csv.read_csv(path, convert_options=as_they_stand)


def _read_parquet(path: Path) -> pa.Table:
    with pyarrow.parquet.ParquetFile(path) as file:  # `read_table` has its own words for columns of one name
        return file.read()


def _read_json(path: Path) -> pa.Table:
    rows = json.loads(path.read_text(), object_pairs_hook=each_once)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError('expected a list of objects, such as [{"choice": 1, "latency_ms": 2.5}]')
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


_READERS = {".parquet": _read_parquet, ".csv": _read_csv, ".json": _read_json}
