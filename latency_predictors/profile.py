"""Making the latency table of a space on a device: blocks and whole networks, side by side, killed and resumed."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device, Measurement, MeasureOptions, measure
from latency_predictors.fingerprint import fingerprint
from latency_predictors.model import Model, block_models, network_model
from latency_predictors.table import LatencyTable, MeasuredNetwork
from search_spaces import Architecture, Block, SearchSpace
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar
from search_spaces.storage import Journal, require_same


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ProfileOptions:
    """How a latency table is made."""

    n_calibration: int = Field(default=12, ge=6, description="whole networks that the table is calibrated on")
    n_held_out: int = Field(default=20, ge=5, description="other whole networks that its error is measured on")
    group_size: int = Field(default=300, ge=1, description="blocks in memory at a time, measured side by side")
    seed: int = Field(default=0, ge=0, description="of the whole networks and the groups of blocks")
    measure: MeasureOptions = MeasureOptions()


_FEWEST_NETWORKS = 5

logger = logging.getLogger(__name__)

Pass = Mapping[str, Measurement]
"""What was measured side by side: the whole networks by number, and some blocks by key."""


def profile(
    space: SearchSpace, device: Device, directory: Path, options: ProfileOptions, *, progress: bool = True
) -> LatencyTable:
    """Measure every block of a space and some whole networks, or go on where an earlier call was stopped.

    Writes `measurements.jsonl` as it goes and `table.json` at the end.

    Raises:
        InputError: the directory holds the profile of another space or device, or one with other options.
    """
    what = {"space": space.to_json(), "device": device.to_json(), "options": asdict(options), "machine": fingerprint()}
    networks = _networks(space, options)
    groups = _groups(space.index.blocks, options)
    with Journal(directory / "measurements.jsonl") as journal:
        passes = _recorded_passes(journal, what, directory)
        if len(passes) <= len(groups):
            models = _export_networks(space, networks, device, progress)
            for blocks in [*groups, []][len(passes) :]:  # the last pass measures the networks alone, once more
                found = measure(
                    device, models | _export_blocks(blocks, device), options=options.measure, progress=progress
                )
                journal.append([{name: asdict(measurement) for name, measurement in found.items()}])
                passes.append(found)
    table = _table(space, device, networks, passes, options)
    table.save(directory / "table.json")
    return table


def _recorded_passes(journal: Journal, what: Mapping[str, Any], directory: Path) -> list[Pass]:
    """Return the passes that the journal holds, or begin one."""
    if not journal.recovered:
        journal.append([what])
        return []
    header, *records = journal.recovered
    require_same(f"the profile in {directory}", header, what)
    return [{name: Measurement(**entry) for name, entry in record.items()} for record in records]


def _networks(space: SearchSpace, options: ProfileOptions) -> list[Architecture]:
    """Return distinct networks: those to calibrate on, among them the smallest and the largest, then the others.

    Raises:
        InputError: the space has too few to do either.
    """
    n = options.n_calibration + options.n_held_out
    extremes = space.encode([space.smallest(), space.largest()])
    drawn = space.sample(4 * n, np.random.default_rng(options.seed))
    rows = space.canonical(np.concatenate([extremes, drawn]))
    _, first = np.unique(rows, axis=0, return_index=True)
    if len(first) < _FEWEST_NETWORKS:
        raise InputError(
            f"{space.name} has {len(first)} different networks: a table is for a choice among many, "
            f"at least {_FEWEST_NETWORKS}"
        )
    if len(first) < n:
        n_calibration = _n_calibration(len(first), options)
        logger.warning(
            "%s has %d different networks: %d calibrate its table, %d test it",
            *(space.name, len(first), n_calibration, len(first) - n_calibration),
        )
    return space.decode(rows[np.sort(first)[:n]])


def _n_calibration(n_networks: int, options: ProfileOptions) -> int:
    """Return how many of the networks calibrate: the same share where there are fewer than were asked for."""
    asked = options.n_calibration + options.n_held_out
    if n_networks == asked:
        return options.n_calibration
    return max(2, round(n_networks * options.n_calibration / asked))  # the smallest and the largest


def _groups(blocks: Sequence[Block], options: ProfileOptions) -> list[list[Block]]:
    """Return the blocks in random groups, so that a drift between passes favours no kind of block."""
    order = np.random.default_rng(options.seed).permutation(len(blocks))
    n_groups = math.ceil(len(blocks) / options.group_size)
    return [[blocks[i] for i in part] for part in np.array_split(order, n_groups)]


def _export_blocks(blocks: Sequence[Block], device: Device) -> dict[str, Model]:
    models = block_models(blocks, device.batch_size)
    return {repr(block): model for block, model in zip(blocks, models, strict=True)}


def _export_networks(
    space: SearchSpace, networks: Sequence[Architecture], device: Device, progress: bool
) -> dict[str, Model]:
    models = {}
    with progress_bar(len(networks), "export", "network", show=progress) as bar:
        for number, architecture in enumerate(networks):
            models[str(number)] = network_model(space, architecture, space.build(architecture), device.batch_size)
            bar.update()
    return models


def _table(
    space: SearchSpace,
    device: Device,
    networks: Sequence[Architecture],
    passes: Sequence[Pass],
    options: ProfileOptions,
) -> LatencyTable:
    """Put the passes together, each scaled to the first by the whole networks that all of them measured."""
    latencies = np.array([[found[str(i)].quantile_ms for i in range(len(networks))] for found in passes])
    blocks: dict[str, Measurement] = {}
    for found, scale in zip(passes[:-1], np.median(latencies[0] / latencies, axis=1), strict=False):
        blocks |= {name: m.scaled(float(scale)) for name, m in found.items() if not name.isdecimal()}
    measured = [
        MeasuredNetwork(architecture, float(first), float(again))
        for architecture, first, again in zip(networks, latencies[0], latencies[-1], strict=True)
    ]
    n = _n_calibration(len(networks), options)
    return LatencyTable(space, device, fingerprint(), blocks, measured[:n], measured[n:])
