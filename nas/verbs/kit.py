"""`nas kit`: the latency table of a device that is elsewhere, by a folder carried there and a file carried back."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device
from latency_predictors.kit.folder import SCRIPT
from latency_predictors.on_device.kit import KIT, results_path
from latency_predictors.profile import ProfileOptions, make_kit, table_of_results
from latency_predictors.table.latency_table import LatencyTable
from nas import run_lock
from nas.data import DataOptions
from nas.run_directory import begin_run, finish_run, plain, read_run
from nas.verbs.profile import SceneQuantiles, of_scene, scene_quantile, scene_table, spaces_of_scenes, summary
from nas.verbs.space_config import SpaceConfig, load_for
from search_spaces.errors import InputError


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class KitConfig:
    """What is measured, on what, and how; or what was."""

    output: Path = Field(description="directory for the kit, and for the table that is made of its results")
    results: tuple[Path, ...] = Field(
        default=(),
        description="file that the device wrote, or several: make the tables of the kits in `output`",
        json_schema_extra={"flag": "import"},
    )
    space: SpaceConfig = SpaceConfig()
    device: Device = Device()
    profile: ProfileOptions = ProfileOptions()
    data: DataOptions | None = None
    scenes: SceneQuantiles = Field(
        default=(), description="of data whose examples differ in size: make kits for these quantiles of size, too"
    )
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def kit(options: KitConfig) -> dict[str, Any]:
    """Write what `nas profile` would measure to a folder for another device, or make the table of its results.

    Copy the folder to the device, which needs Python 3.8 or newer with NumPy and onnxruntime, and run `python3
    measure.pyz` in it; it may be stopped, and goes on when called again. Bring its results file back, and say `nas kit
    --output FOLDER --import FILE`.
    """
    if options.device.host is not None:
        raise InputError("a kit is carried by hand: leave out --on, or use `nas profile`, which goes there itself")
    if options.results:
        return _imported(options)
    space, data = (options.space.load(), None) if options.data is None else load_for(options.space, options.data)
    others = spaces_of_scenes(space, data, options.scenes)
    options.device.require_portable()
    if (done := begin_run(options.output, "kit", options, {"space": space.id}, force=options.force)) is not None:
        return done
    kits = {options.output / KIT: space}
    for quantile, other in others.items():
        directory = scene_table(options.output, quantile)
        kits[directory.with_name(f"{directory.name}.json")] = other
    ids = [make_kit(of, options.device, path, options.profile) for path, of in kits.items()]
    result = {
        "kit": ids[0],
        "megabytes": sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file()) / 1e6,
        "on_the_device": f"python3 {SCRIPT}",
        "then": f"nas kit --output {options.output} --import {','.join(results_path(path).name for path in kits)}",
    }
    finish_run(options.output, result)
    return result


def _imported(options: KitConfig) -> dict[str, Any]:
    asked, _ = read_run(options.output, "kit")
    run_lock.lock(options.output, force=options.force)
    said, unsaid = plain(options), plain(KitConfig(options.output))
    for name in ("space", "device", "profile", "data", "scenes"):
        if said[name] not in (unsaid[name], asked["options"].get(name)):
            raise InputError(f"--{name} does nothing on import, where the kit says what it is: leave it out")
    tables: dict[Path, LatencyTable] = {}
    for path in options.results:
        table, directory = table_of_results(options.output, path)
        if directory in tables:
            raise InputError(f"results {path} are of the same kit as others that were named: give one of them")
        tables[directory] = table
    first, *others = sorted(tables)
    result = summary(tables[first], first, asked["options"]["profile"]["measure"]["stable_share"])
    if others:
        result["scenes"] = [of_scene(scene_quantile(directory), tables[directory]) for directory in others]
    return result
