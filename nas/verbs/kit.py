"""`nas kit`: the latency table of a device that is elsewhere, by a folder carried there and a file carried back."""

import dataclasses
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device
from latency_predictors.kit.folder import SCRIPT
from latency_predictors.on_device.kit import results_path
from latency_predictors.profile import KIT, ProfileOptions, make_kit, table_of_results
from nas.data import DataOptions
from nas.run_directory import begin_run, finish_run, read_run
from nas.verbs.profile import summary
from nas.verbs.space_config import SpaceConfig, load_for
from search_spaces.errors import InputError


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class KitConfig:
    """What is measured, on what, and how; or what was."""

    output: Path = Field(description="directory for the kit, and for the table that is made of its results")
    results: Path | None = Field(
        default=None,
        description="file that the device wrote: make the table of the kit in `output`",
        json_schema_extra={"flag": "import"},
    )
    space: SpaceConfig = SpaceConfig()
    device: Device = Device()
    profile: ProfileOptions = ProfileOptions()
    data: DataOptions | None = None


def kit(options: KitConfig) -> dict[str, Any]:
    """Write what `nas profile` would measure to a folder for another device, or make the table of its results.

    Copy the folder to the device, which needs Python 3.8 or newer with NumPy and onnxruntime, and run `python3
    measure.pyz` in it; it may be stopped, and goes on when called again. Bring its results file back, and say `nas kit
    --output FOLDER --import FILE`.
    """
    if options.device.host is not None:
        raise InputError("a kit is carried by hand: leave out --on, or use `nas profile`, which goes there itself")
    if options.results is not None:
        return _imported(options, options.results)
    space = options.space.load() if options.data is None else load_for(options.space, options.data)[0]
    options.device.require_portable()
    if (done := begin_run(options.output, "kit", options, {"space": space.id})) is not None:
        return done
    kit_id = make_kit(space, options.device, options.output, options.profile)
    result = {
        "kit": kit_id,
        "megabytes": sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file()) / 1e6,
        "on_the_device": f"python3 {SCRIPT}",
        "then": f"nas kit --output {options.output} --import {results_path(Path(KIT))}",
    }
    finish_run(options.output, result)
    return result


def _imported(options: KitConfig, results: Path) -> dict[str, Any]:
    asked, _ = read_run(options.output, "kit")
    made = dataclasses.replace(options, results=None)
    if made != KitConfig(options.output):
        begin_run(options.output, "kit", made, asked["inputs"])  # which refuses what the kit was not made with
    return summary(table_of_results(options.output, results), options.output, options.profile)
