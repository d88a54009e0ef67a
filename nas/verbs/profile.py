"""`nas profile`: the latency table of a space on a device."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

import latency_predictors.profile
from latency_predictors.device import STATISTIC, Device
from latency_predictors.latency_model import doubts
from latency_predictors.profile import ProfileOptions
from latency_predictors.table.latency_table import TABLE, LatencyTable
from nas.data import DataOptions, Dataset
from nas.run_directory import begin_run, finish_run
from nas.verbs.space_config import SpaceConfig, at_scene, load_for
from search_spaces import SearchSpace
from search_spaces.errors import InputError

logger = logging.getLogger(__name__)

_SCENE = "scene-"

SceneQuantiles = tuple[Annotated[float, Field(ge=0, le=1)], ...]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ProfileConfig:
    """What is measured, on what, and how."""

    output: Path = Field(description="directory for the table; an interrupted profile in it is continued")
    space: SpaceConfig = SpaceConfig()
    device: Device = Device()
    profile: ProfileOptions = ProfileOptions()
    data: DataOptions | None = None
    scenes: SceneQuantiles = Field(
        default=(), description="of data whose examples differ in size: make tables for these quantiles of size, too"
    )
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def profile(options: ProfileConfig) -> dict[str, Any]:
    """Measure every block of a space on a device, this machine or another, and test the table on whole networks.

    Name your data, which decide classes, channels and the density of point clouds, or say them yourself, as in
    `--space mobilenet_v3_32 --space.options n_classes=10 --space.options in_channels=3`.
    """
    space, data = (options.space.load(), None) if options.data is None else load_for(options.space, options.data)
    others = spaces_of_scenes(space, data, options.scenes)
    options.device.require_possible()
    if (done := begin_run(options.output, "profile", options, {"space": space.id}, force=options.force)) is not None:
        return done
    table = latency_predictors.profile.profile(space, options.device, options.output, options.profile)
    result = summary(table, options.output, options.profile.measure.stable_share)
    if others:
        result["scenes"] = [_profile_scene(options, quantile, other) for quantile, other in others.items()]
    finish_run(options.output, result)
    return result


def summary(table: LatencyTable, directory: Path, wanted: float) -> dict[str, Any]:
    """Return what a person wants to know of a table in a directory, and say if fewer became stable than was wanted."""
    measured = [block for block in table.blocks.values() if not block.interpolated]
    stable_share = float(np.mean([measurement.stable for measurement in measured]))
    if stable_share < wanted:
        logger.warning("the machine was busy: only %.0f%% of the latencies became stable", 100 * stable_share)
    return {
        "table": str(directory / TABLE),
        "blocks": len(table.blocks),
        "blocks_measured": len(measured),
        "interpolation_error": table.interpolation_error,
        "statistic": STATISTIC,
        **_foretold(table, str(directory / TABLE)),
        **asdict(table.errors()),
        "noise_floor": table.noise_floor,
        "stable_share": stable_share,
        "median_spread": float(np.median([measurement.spread for measurement in measured])),
    }


def scene_table(profiled: Path, quantile: float) -> Path:
    """Return the directory of the table for examples of another size."""
    return profiled / f"{_SCENE}{quantile:g}"


def profiled_scenes(profiled: Path) -> list[float]:
    """Return the quantiles of size for which there are tables of their own."""
    return sorted(scene_quantile(path.parent) for path in profiled.glob(f"{_SCENE}*/{TABLE}"))


def scene_quantile(directory: Path) -> float:
    """Return the quantile of size that a directory's table is for."""
    return float(directory.name.removeprefix(_SCENE))


def spaces_of_scenes(space: SearchSpace, data: Dataset | None, quantiles: Sequence[float]) -> dict[float, SearchSpace]:
    """Return the space at each quantile of the examples' size.

    Raises:
        InputError: there are no data to take sizes from, all examples have one size, or two tables would be of one.
    """
    if quantiles and data is None:
        raise InputError(f"scenes {list(quantiles)}: name the data that they are quantiles of with --data")
    if data is None or not quantiles:
        return {}
    if at_scene(space, data, 0.0) == at_scene(space, data, 1.0):
        raise InputError(
            f"scenes {list(quantiles)}: the {data.examples} of {data.name} all have one size; leave it out"
        )
    found: dict[float, SearchSpace] = {}
    tables = {space: "the table itself"}
    for quantile in quantiles:
        other = at_scene(space, data, quantile)
        if other in tables:
            raise InputError(f"scene {quantile:g} of {data.name} would have the size of {tables[other]}: leave it out")
        tables[other], found[quantile] = f"scene {quantile:g}", other
    return found


def _profile_scene(options: ProfileConfig, quantile: float, space: SearchSpace) -> dict[str, float]:
    directory = scene_table(options.output, quantile)
    table = latency_predictors.profile.profile(space, options.device, directory, options.profile)
    return of_scene(quantile, table)


def of_scene(quantile: float, table: LatencyTable) -> dict[str, float]:
    """Return what a person wants to know of the table for another size of examples."""
    errors = table.errors()
    return {
        "quantile": quantile,
        **_foretold(table, f"the table of scene {quantile:g}"),
        "mean_absolute": errors.mean_absolute,
        "spearman": errors.spearman,
    }


def _foretold(table: LatencyTable, origin: str) -> dict[str, float]:
    """Return what a table predicts for the fastest network and the slowest, and say if that is not to be believed."""
    model = table.cost_model()
    fastest_ms, slowest_ms = model.cheapest()[0], model.dearest()[0]
    if (doubt := doubts(model.margin, fastest_ms)) is not None:
        logger.warning(
            "%s: %s: measure again, on a quieter device or with more networks (--profile.n-calibration), in another "
            "directory",
            origin,
            doubt,
        )
    return {"fastest_ms": fastest_ms, "slowest_ms": slowest_ms}
