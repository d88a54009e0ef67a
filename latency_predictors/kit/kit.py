"""What is measured of a space for its table, pass by pass, and how the passes are put together."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device, Measurement, MeasureOptions
from latency_predictors.model import Model, UntrainedModels
from latency_predictors.on_device.kit import content_id
from latency_predictors.table.interpolation import interpolate, kept
from latency_predictors.table.latency_table import LatencyTable, MeasuredNetwork
from search_spaces import Architecture, Block, SearchSpace
from search_spaces.errors import InputError

_FEWEST_NETWORKS, _FEWEST_HELD_OUT = 5, 3
_REPEATED = 2  # the first network that is neither the smallest nor the largest
_REPEAT_SHARE = 0.1  # of the time that a pass takes
_NOISY = 0.03
_IMPOSSIBLE = 100  # times as long: what is hot, or busy with other things, takes ten times as long

logger = logging.getLogger(__name__)

Pass = Mapping[str, Measurement]
"""What was measured side by side: whole networks by number, and some blocks by key."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ProfileOptions:
    """How a latency table is made."""

    n_calibration: int = Field(default=12, ge=6, description="whole networks that the table is calibrated on")
    n_held_out: int = Field(default=20, ge=5, description="other whole networks that its error is measured on")
    group_size: int = Field(default=300, ge=1, description="blocks measured side by side, beside all whole networks")
    noise_repeats: int = Field(
        default=10, ge=0, description="times that one network is measured first, to tell the machine's noise"
    )
    share: float | None = Field(
        default=None, gt=0, le=1, description="of the blocks that are measured, others interpolated; unset: all"
    )
    seed: int = Field(default=0, ge=0, description="of the whole networks and the groups of blocks")
    measure: MeasureOptions = MeasureOptions()


class Kit:
    """What is measured: one network several times, then groups of blocks, each beside all of the whole networks.

    The last pass measures the networks alone, once more.

    Args:
        space: the space.
        device: what it is measured on.
        options: how.
        progress: whether to show on stderr how far exports are.

    Raises:
        InputError: the space has too few networks.
    """

    def __init__(self, space: SearchSpace, device: Device, options: ProfileOptions, *, progress: bool = False) -> None:
        self.space = space
        self.device = device
        self.options = options
        self.networks = _networks(space, options)
        blocks = space.index.blocks
        self._measured = kept(blocks, options.share or 1.0, np.random.default_rng(options.seed))
        if self._measured.all() and (options.share or 1.0) < 1:
            logger.warning(
                "share %g does nothing: all %d blocks of %s are measured", options.share, len(blocks), space.name
            )
        self._groups = [*_groups([blocks[i] for i in np.flatnonzero(self._measured)], options), []]
        self._repeated = min(_REPEATED, len(self.networks) - 1)
        self._untrained = UntrainedModels(space, device.batch_size, progress=progress)

    @property
    def n_passes(self) -> int:
        """How many passes there are, the repeats of one network among them."""
        return self.options.noise_repeats + len(self._groups)

    def describe(self) -> dict[str, Any]:
        """Return what the kit follows from, as plain values, and what stands for the models that were drawn by that."""
        models = [[one.id for one in self.networks], *([repr(block) for block in group] for group in self._groups)]
        return {
            "space": self.space.to_json(),
            "device": self.device.to_json(),
            "options": asdict(self.options),
            "models": content_id(json.dumps(models).encode()),
        }

    def require_same_models(self, described: Mapping[str, Any], origin: str) -> None:
        """Raise unless what `describe` once returned is of the same models.

        Args:
            described: that; of kits that were made before it named them, nothing is known.
            origin: where it stands, for errors.

        Raises:
            InputError: it is of others.
        """
        models = self.describe()["models"]
        if described.get("models", models) != models:
            raise InputError(
                f"{origin} is of other networks or blocks than are drawn now, as the space or NumPy has changed since: "
                "go on with the versions that it was begun with, or begin anew in another directory"
            )

    def measure_options(self, number: int) -> MeasureOptions:
        """Return how long a pass is measured."""
        options = self.options.measure
        if number >= self.options.noise_repeats:
            return options
        seconds = (options.min_seconds * _REPEAT_SHARE, options.max_seconds * _REPEAT_SHARE)
        return replace(options, min_seconds=seconds[0], max_seconds=seconds[1])

    def models(self, number: int) -> dict[str, Model]:
        """Return the models of a pass, of the same weights in every call."""
        if number < self.options.noise_repeats:
            return self._repeated_model
        whole = self._network_models  # before the blocks, of which networks then know most
        models = self._untrained.of_blocks(self._groups[number - self.options.noise_repeats])
        return whole | {repr(block): model for block, model in models.items()}

    @cached_property
    def _repeated_model(self) -> dict[str, Model]:
        (model,) = self._untrained.of_networks([self.networks[self._repeated]])
        return {str(self._repeated): model}

    @cached_property
    def _network_models(self) -> dict[str, Model]:
        return {str(number): model for number, model in enumerate(self._untrained.of_networks(self.networks))}

    def require_possible(self, passes: Sequence[Pass], origin: str) -> None:
        """Raise unless passes that come from a file can be of the kit, and of one device.

        Args:
            passes: what was measured, in order.
            origin: where it stands, for errors.

        Raises:
            InputError: a pass is of other models, a network differs by orders of magnitude between passes, or a block
                takes so much longer than all whole networks.
        """
        latencies: dict[str, list[tuple[float, int]]] = {}
        for number, found in enumerate(passes):
            if number >= self.n_passes or found.keys() != self._names(number):
                raise InputError(f"{origin}, pass {number + 1}: not of the models that the profile measures there")
            for name, one in found.items():
                latencies.setdefault(name, []).append((one.quantile_ms, number + 1))
        slowest = max((max(of) for name, of in latencies.items() if name.isdecimal()), default=(math.inf, 0))
        for name, of in sorted(latencies.items(), key=lambda entry: not entry[0].isdecimal()):
            (ms, number), (least_ms, other) = max(of), min(of) if name.isdecimal() else slowest
            if ms > _IMPOSSIBLE * least_ms:
                beside = "" if name.isdecimal() else "the slowest network "
                raise InputError(
                    f"{origin}: model {name} takes {ms:g} ms in pass {number}, but {beside}{least_ms:g} ms in pass "
                    f"{other}, expected at most {_IMPOSSIBLE} times as long: measure again"
                )

    def _names(self, number: int) -> set[str]:
        """Return what `models` calls those of a pass."""
        if number < self.options.noise_repeats:
            return {str(self._repeated)}
        blocks = self._groups[number - self.options.noise_repeats]
        return {*map(str, range(len(self.networks))), *map(repr, blocks)}

    def table(self, passes: Sequence[Pass], machine: Mapping[str, str]) -> LatencyTable:
        """Put all passes together, each scaled to the first by the whole networks that all of them measured.

        Args:
            passes: what was measured, in order.
            machine: the fingerprint of the device.
        """
        n_repeats, n_networks = self.options.noise_repeats, len(self.networks)
        noise_floor = _noise_floor(passes[:n_repeats])
        passes = passes[n_repeats:]
        latencies = np.array([[found[str(i)].quantile_ms for i in range(n_networks)] for found in passes])
        blocks: dict[str, Measurement] = {}
        for found, scale in zip(passes[:-1], np.median(latencies[0] / latencies, axis=1), strict=False):
            blocks |= {name: m.scaled(float(scale)) for name, m in found.items() if not name.isdecimal()}
        measured = [
            MeasuredNetwork(architecture, float(first), float(again))
            for architecture, first, again in zip(self.networks, latencies[0], latencies[-1], strict=True)
        ]
        others, error = self._interpolated(blocks)
        n = _n_calibration(n_networks, self.options)
        whole = (measured[:n], measured[n:])
        return LatencyTable(self.space, self.device, machine, blocks | others, *whole, noise_floor, error)

    def _interpolated(self, measured: Mapping[str, Measurement]) -> tuple[dict[str, Measurement], float | None]:
        """Return the blocks that were left out, as those that were measured foretell them, and their error."""
        blocks = self.space.index.blocks
        if self._measured.all():
            return {}, None
        known = np.array([measured[repr(blocks[i])].quantile_ms for i in np.flatnonzero(self._measured)])
        found, error = interpolate(blocks, known, self._measured)
        others = [repr(blocks[i]) for i in np.flatnonzero(~self._measured)]
        pinned = all(measurement.pinned for measurement in measured.values())
        return {
            name: Measurement(ms, ms, ms, spread=0.0, n_runs=0, stable=False, pinned=pinned, interpolated=True)
            for name, ms in zip(others, found.tolist(), strict=True)
        }, error


def _noise_floor(repeats: Sequence[Pass]) -> float | None:
    """Return the relative standard deviation of one network's latency, and say if it is too large; None if unknown."""
    latencies = [measurement.quantile_ms for found in repeats for measurement in found.values()]
    if len(latencies) < 2:
        return None
    noise_floor = float(np.std(latencies, ddof=1) / np.mean(latencies))
    if noise_floor > _NOISY:
        logger.warning(
            "the device is too noisy for its latencies to be trusted: one network measured %d times varies by %.1f%% "
            "(standard deviation); end what else runs there",
            *(len(latencies), 100 * noise_floor),
        )
    return noise_floor


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
    n_calibration = round(n_networks * options.n_calibration / asked)
    return max(2, min(n_calibration, n_networks - _FEWEST_HELD_OUT))  # the smallest and the largest


def _groups(blocks: Sequence[Block], options: ProfileOptions) -> list[list[Block]]:
    """Return the blocks in random groups, so that a drift between passes favours no kind of block."""
    order = np.random.default_rng(options.seed).permutation(len(blocks))
    n_groups = math.ceil(len(blocks) / options.group_size)
    return [[blocks[i] for i in part] for part in np.array_split(order, n_groups)]
