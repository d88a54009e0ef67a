"""`nas profile`: the latency table of a space on a device."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

import latency_predictors.profile
from latency_predictors.device import STATISTIC, Device
from latency_predictors.profile import ProfileOptions
from nas.data import DataOptions
from nas.run_directory import begin_run, finish_run
from nas.verbs.space_config import SpaceConfig, load_for

logger = logging.getLogger(__name__)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ProfileConfig:
    """What is measured, on what, and how."""

    output: Path = Field(description="directory for the table; an interrupted profile in it is continued")
    space: SpaceConfig = SpaceConfig()
    device: Device = Device()
    profile: ProfileOptions = ProfileOptions()
    data: DataOptions | None = None


def profile(options: ProfileConfig) -> dict[str, Any]:
    """Measure every block of a space on this machine, and test the table on whole networks.

    Name your data, which decide classes, channels and the density of point clouds, or say them yourself, as in
    `--space mobilenet_v3_32 --space.options n_classes=10 --space.options in_channels=3`.
    """
    space = options.space.load() if options.data is None else load_for(options.space, options.data)[0]
    options.device.require_cores()
    if (done := begin_run(options.output, "profile", options)) is not None:
        return done
    table = latency_predictors.profile.profile(space, options.device, options.output, options.profile)
    model = table.cost_model()
    result = {
        "table": str(options.output / "table.json"),
        "blocks": len(table.blocks),
        "statistic": STATISTIC,
        "fastest_ms": model.cheapest()[0],
        "slowest_ms": model.dearest()[0],
        **asdict(table.errors()),
        "stable_share": float(np.mean([measurement.stable for measurement in table.blocks.values()])),
        "median_spread": float(np.median([measurement.spread for measurement in table.blocks.values()])),
    }
    if result["stable_share"] < options.profile.measure.stable_share:
        logger.warning("the machine was busy: only %.0f%% of the latencies became stable", 100 * result["stable_share"])
    finish_run(options.output, result)
    return result
