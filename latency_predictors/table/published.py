"""Published latencies: of blocks, as Once-for-All and ProxylessNAS list them, and of architectures, as files of rows.

Neither kind says its unit; whoever reads a file states it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from latency_predictors.cost_model import BlockCost
from latency_predictors.table.rows import Unit, factor_to_ms, read_rows
from search_spaces import Block, SearchSpace
from search_spaces.blocks.mobile import ConvNorm, InvertedResidual, PooledClassifier
from search_spaces.errors import InputError, unknown
from search_spaces.plan_index import Population


def read_block_latencies(path: Path, space: SearchSpace, unit: Unit) -> BlockCost:
    """Return the latency model of a table of Once-for-All (Cai et al., ICLR 2020) or ProxylessNAS (ICLR 2019).

    A network's latency is the sum of its blocks', as published; nothing says how wrong that is, so the margin is 0.

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
    values = [factor * sum(_mean(path, entries, names) for names in _entries(block)) for block in space.index.blocks]
    return BlockCost(space, "latency_ms", np.array(values))


def _mean(path: Path, entries: Mapping[Any, Any], names: Sequence[str]) -> float:
    """Return the mean of the first of an entry's names that the table has."""
    name = next((name for name in names if name in entries), None)
    if name is None:
        raise InputError(f"latency table {path} lacks {names[0]}: it is of another space")
    mean = entries[name].get("mean")
    if not isinstance(mean, int | float) or isinstance(mean, bool) or not (math.isfinite(mean) and mean > 0):
        raise InputError(f"latency table {path}: {name} has mean {mean!r}, expected a positive number")
    return float(mean)


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
        InputError: a file or column is missing, an option is not the space's, or a latency is not positive.
    """
    factor = factor_to_ms(unit)
    table = reduce(lambda one, other: one.join(other, key, join_type="inner"), map(read_rows, paths))
    for name in (*columns, latency):
        if name not in table.column_names:
            raise unknown(f"column of {paths[0]}", name, table.column_names)
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
            f"{paths[0]}, row {row}: {columns[column]} is {chosen[row, column]}, which is no option of {space.name}: "
            "the table is of another space"
        )
    latencies = np.asarray(table[latency].to_numpy(), dtype=np.float64) * factor
    if not (good := np.isfinite(latencies) & (latencies > 0)).all():
        row = int(np.argmin(good))
        raise InputError(f"{paths[0]}, row {row}: {latency} is {latencies[row] / factor:g}, expected a positive number")
    return numbers, latencies
