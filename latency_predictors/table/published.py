"""Published latencies: of blocks, as Once-for-All and ProxylessNAS list them, and of architectures, as files of rows.

Neither kind says its unit; whoever reads a file states it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

import search_spaces
from latency_predictors.cost_model import BlockCost
from latency_predictors.device import Device
from latency_predictors.latencies import positive, require_stated
from latency_predictors.latency_model import LatencyModel
from latency_predictors.on_device.kit import UNIT
from latency_predictors.table.latency_table import entries_of_blocks
from latency_predictors.table.rows import Unit, factor_to_ms, read_latencies, read_rows, row_places
from search_spaces import Block, SearchSpace
from search_spaces.blocks.mobile import ConvNorm, InvertedResidual, PooledClassifier
from search_spaces.errors import InputError, unknown
from search_spaces.plan_index import Population
from search_spaces.storage import read_json, write_json


@dataclass(frozen=True)
class PublishedTable(LatencyModel):
    """Latencies of a space's blocks, as they were published for a device that nothing can be measured on from here.

    A network's latency is the sum of its blocks', as published; nothing says how wrong that is, so the margin is 0.

    Attributes:
        space: whose blocks they are.
        latencies_ms: by block key, the block's `repr`.
    """

    schema: ClassVar[str] = "published-table/1"
    device = None
    fingerprint = None

    space: SearchSpace
    latencies_ms: Mapping[str, float]

    def cost_model(self, space: SearchSpace) -> BlockCost:
        values = entries_of_blocks(self.latencies_ms, self.space, space)
        return BlockCost(space, "latency_ms", np.array(values, dtype=np.float64))

    def on_device(self, device: Device) -> "PublishedTable":
        raise InputError(f"a published table names no device: it cannot be at {device.host}")

    def save(self, path: Path) -> None:
        """Write the latencies as JSON."""
        blocks = dict(self.latencies_ms)
        write_json(path, self.schema, {"unit": UNIT, "space": self.space.to_json(), "blocks": blocks})

    @classmethod
    def load(cls, path: Path) -> "PublishedTable":
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or damaged, follows another schema, or holds a latency that is none.
        """
        document, origin = read_json(path, cls.schema), f"latency table {path}"
        require_stated(document, {"unit": UNIT}, origin)
        try:
            blocks = {key: positive(ms, f"{origin}: {key} takes") for key, ms in document["blocks"].items()}
            return cls(search_spaces.from_json(document["space"]), blocks)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is not a whole published table ({error!r}): import it again") from None


def read_block_latencies(path: Path, space: SearchSpace, unit: Unit) -> PublishedTable:
    """Return the latency model of a table of Once-for-All (Cai et al., ICLR 2020) or ProxylessNAS (ICLR 2019).

    Args:
        path: YAML of `op-input:HxWxC-output:HxWxC[-expand:...]: {count, mean, var}`.
        space: whose blocks are looked up.
        unit: of the file's means.

    Raises:
        InputError: the file is no such table, lacks a block of the space, or holds a latency that is none.
    """
    factor = factor_to_ms(unit)
    try:
        entries = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"latency table {path}: {' '.join(str(error).split())}") from None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise InputError(f"latency table {path}: expected entries op-input:..-output:..: {{count, mean, var}}")
    found = {
        repr(block): sum(_mean(path, entries, names, factor) for names in _entries(block))
        for block in space.index.blocks
    }
    return PublishedTable(space, found)


def _mean(path: Path, entries: Mapping[Any, Any], names: Sequence[str], factor: float) -> float:
    """Return the mean in ms of the first of an entry's names that the table has."""
    name = next((name for name in names if name in entries), None)
    if name is None:
        raise InputError(f"latency table {path} lacks {names[0]}: it is of another space")
    return positive(entries[name].get("mean"), f"latency table {path}: {name} has mean", factor)


def _entries(block: Block) -> Iterator[tuple[str, ...]]:
    """Yield what a block is made of in those tables, each by Once-for-All's name and then ProxylessNAS's.

    Raises:
        InputError: those tables have no such block.
    """
    match block:
        case ConvNorm(kernel=kernel):
            yield (f"{'Conv_1' if kernel == 1 else 'Conv'}-{_ends(block)}",)
        case InvertedResidual(in_channels=channels, middle_channels=middle, kernel=kernel, stride=stride):
            skips = int(block.inputs[0].shape == block.output.shape)
            rest = f"kernel:{kernel}-stride:{stride}-idskip:{skips}"
            more = f"se:{int(block.squeeze_excite)}-hs:{int(block.activation == 'hard_swish')}"
            ratio = f"expanded_conv-{_ends(block)}-expand:{middle // channels}-{rest}"
            # without squeeze-excitation and hard swish, the block is ProxylessNAS's, too
            alike = () if block.squeeze_excite or block.activation == "hard_swish" else (ratio,)
            yield (f"expanded_conv-{_ends(block)}-expand:{middle}-{rest}-{more}", *alike)
        case PooledClassifier(size=size, in_channels=channels, features=None, n_classes=n_classes):
            yield (f"Logits-input:{size}x{size}x{channels}-output:{n_classes}",)
        case PooledClassifier(size=size, in_channels=channels, features=features, n_classes=n_classes):
            yield (f"AvgPool2D-input:{size}x{size}x{channels}-output:1x1x{channels}",)
            yield (f"Conv_2-input:1x1x{channels}-output:1x1x{features}",)
            yield (f"Logits-input:1x1x{features}-output:{n_classes}",)
        case _:
            raise InputError(f"published latency tables have no block such as {block!r}: profile the space instead")


def _ends(block: Block) -> str:
    (taken,) = block.inputs
    return "-".join(
        f"{name}:{height}x{width}x{channels}"
        for name, (channels, height, width) in (("input", taken.shape), ("output", block.output.shape))
    )


def read_architecture_latencies(
    paths: Sequence[Path],
    space: SearchSpace,
    columns: Sequence[str],
    options: Sequence[Any],
    latency: str,
    unit: Unit,
    key: str = "index",
) -> tuple[Population, NDArray[np.float64]]:
    """Return architectures and their latencies from Parquet or CSV files, one row an architecture.

    Args:
        paths: the files, joined by the column `key` where they are several.
        space: of the architectures.
        columns: of the options that were chosen, in the order of the space's choices.
        options: what the numbers in these columns stand for.
        latency: column of the latencies.
        unit: of that column.
        key: column by which files are joined.

    Returns:
        The population, (N, choices), and (N,) latencies in ms.

    Raises:
        InputError: a file or column is missing, `key` repeats a value, an option is not the space's, or a latency is
            not positive.
    """
    factor = factor_to_ms(unit)
    table = _joined(paths, key)
    for name in (*columns, latency):
        if name not in table.column_names:
            raise unknown(f"column of {paths[0]}", name, table.column_names)

    if len(paths) == 1:
        places = row_places(paths[0], table.num_rows)
    else:
        places = [f"{paths[0]}, {key} {value}" for value in table[key]]
    if len(columns) != len(space.choices):
        raise InputError(f"{len(columns)} columns for the {len(space.choices)} choices of {space.name}: give one each")
    chosen = np.column_stack([table[name].to_numpy() for name in columns])
    numbers = np.full(chosen.shape, -1)
    for column, choice in enumerate(space.choices):
        for number, option in enumerate(options):
            if option in choice.options:
                numbers[chosen[:, column] == number, column] = choice.options.index(option)
    if (numbers < 0).any():
        row, column = np.argwhere(numbers < 0)[0]
        raise InputError(
            f"{places[row]}: {columns[column]} is {chosen[row, column]}, which is no option of {space.name}: "
            "the table is of another space"
        )
    return numbers, read_latencies(table, latency, factor, places)


def _joined(paths: Sequence[Path], key: str) -> pa.Table:
    """Return the rows of files, joined and sorted by a column where they are several.

    Raises:
        InputError: a file cannot be read, lacks the column, repeats a value of it or lacks one of another file's, or
            the files do not go together.
    """
    tables = [read_rows(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if key not in table.column_names:
            if len(paths) > 1:
                raise unknown(f"column of {path}", key, table.column_names)
            continue
        values, counts = np.unique(np.array(table[key].to_pylist(), dtype=str), return_counts=True)
        if (counts > 1).any():
            raise InputError(f"{path}: {key} {values[counts.argmax()]} stands there twice: keep one of its rows")
    files = ", ".join(map(str, paths))
    try:
        joined = reduce(lambda one, other: one.join(other, key, join_type="inner"), tables)
    except pa.ArrowException as error:
        raise InputError(f"{files} cannot be joined by {key}: {' '.join(str(error).split())}") from None
    repeated = next((name for name in joined.column_names if joined.column_names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{files}: column {repeated} stands in several of them: keep it in one")
    if not joined.num_rows:
        raise InputError(f"{files} have no {key} in common: expected files of the same architectures")
    for path, table in zip(paths, tables, strict=True):
        if table.num_rows > joined.num_rows:
            lonely = next(value for value in table[key].to_pylist() if value not in {*joined[key].to_pylist()})
            raise InputError(
                f"{path}: {key} {lonely} is not in all of {files}: expected files of the same architectures"
            )
    return joined.sort_by(key) if len(tables) > 1 else joined
