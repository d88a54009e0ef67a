"""`nas run`: all verbs in turn, from data and a budget to a bundle."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device
from latency_predictors.latency_model import LatencyModel
from latency_predictors.profile import ProfileOptions
from latency_predictors.table.latency_table import LatencyTable
from nas.bounds import (
    BOUNDS_HELP,
    DEVICES_HELP,
    HOSTS_HELP,
    LATENCY,
    DevicePaths,
    by_metric,
    feasible_region,
    model_files,
    read_models,
    require_known_metrics,
    require_one_precision,
)
from nas.candidates import require_possible
from nas.config import require_unsaid
from nas.data import DataOptions, Dataset
from nas.executors.options import ClusterOptions, load_executor
from nas.finalists import FinalistOptions, devices_at_hand
from nas.objectives import LatencyBudget
from nas.run_directory import begin_run, digest, finish_run, is_finished
from nas.search_options import SearchOptions
from nas.training import SupernetOptions
from nas.verbs.export import ExportConfig, ExportOptions, export
from nas.verbs.profile import ProfileConfig, SceneQuantiles, profile
from nas.verbs.search import SearchConfig, search
from nas.verbs.space_config import SpaceConfig, load_for
from nas.verbs.train import TrainConfig, train
from search_spaces import SearchSpace
from search_spaces.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RunConfig:
    """What is wanted: data, a budget, and all that the verbs can be told."""

    data: DataOptions
    budget: LatencyBudget = Field(
        description="highest latency with its unit, as 2.5ms, or 40%: so far from fastest to slowest"
    )
    output: Path = Field(description="directory for all results; an interrupted run in it is continued")
    space: SpaceConfig = SpaceConfig()
    device: Device = Device()
    table: Path | None = Field(
        default=None,
        description="latency model to search with, as `nas search` takes it; unset: profile the device",
    )
    train: SupernetOptions = SupernetOptions()
    profile: ProfileOptions = ProfileOptions()
    scenes: SceneQuantiles = Field(
        default=(), description="of data whose examples differ in size: make tables for these quantiles of size, too"
    )
    search: SearchOptions = SearchOptions()
    finalists: FinalistOptions = FinalistOptions()
    bounds: Mapping[str, str] = Field(default_factory=dict, description=BOUNDS_HELP)
    devices: DevicePaths = Field(default_factory=dict, description=DEVICES_HELP)
    hosts: Mapping[str, str] = Field(default_factory=dict, description=HOSTS_HELP)
    export: ExportOptions = ExportOptions()
    cluster: ClusterOptions = ClusterOptions()
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def run(options: RunConfig) -> dict[str, Any]:
    """Train, profile, search and export in turn: from data and a latency budget to a measured network."""
    loaded, data = load_for(options.space, options.data)
    models = {} if is_finished(options.output) else _require_possible(options, data, loaded)
    files = model_files(by_metric(options.devices, options.table))
    inputs = {"data": data.fingerprint, **{name: digest(file) for name, file in files.items()}}
    done = begin_run(options.output, "run", options, inputs, of_verbs=True, force=options.force)
    if done is not None:
        return done
    space = loaded.to_json()
    named = SpaceConfig(space.pop("name"), space)
    trained, profiled, searched, bundle = (options.output / verb for verb in ("train", "profile", "search", "export"))
    table = options.table or profiled
    if options.table is None:
        asked = ProfileConfig(
            profiled, named, options.device, options.profile, data.options, options.scenes, options.force
        )
        _tell("profile", profile(asked))
        models |= read_models({LATENCY: table}, {})
        feasible_region(models, loaded, _budgets(options))  # rather refused now than after training
    _tell("train", train(TrainConfig(data.options, trained, named, options.train, options.force)))
    searching = SearchConfig(
        trained,
        table,
        options.budget,
        searched,
        options.search,
        options.finalists,
        options.bounds,
        options.devices,
        hosts=options.hosts,
        cluster=options.cluster,
        force=options.force,
    )
    _tell("search", search(searching))
    result = export(ExportConfig(searched, bundle, options.export, force=options.force))
    finish_run(options.output, result)
    return result


def _require_possible(options: RunConfig, data: Dataset, space: SearchSpace) -> dict[str, LatencyModel]:
    """Return the latency models that there are before the profile, by the metrics of their latencies.

    Raises:
        InputError: what later verbs would raise, as far as there is no profile to wait for.
    """
    for training in (options.train, options.export.training):
        data.require_heeded(training.augmentation)
    models = _require_models(options)
    kinds = {LATENCY: LatencyTable} | {metric: type(model) for metric, model in models.items()}
    require_known_metrics(options.bounds, options.search, kinds, space)
    region = feasible_region(models, space, options.bounds if options.table is None else _budgets(options))
    require_possible(data, region, options.search)
    _require_cluster(options)
    return models


def _require_models(options: RunConfig) -> dict[str, LatencyModel]:
    """Return the latency models that there are before the profile, by the metrics of their latencies.

    Raises:
        InputError: what the search would raise of models and devices.
    """
    if options.table is None:
        options.device.require_possible()
    else:
        require_unsaid(options, ("device", "profile", "scenes"), "a profile, whose place --table takes")
    hosts = by_metric(options.hosts)
    models = read_models(by_metric(options.devices, options.table), hosts)
    insisted = {metric: model for metric, model in models.items() if metric == LATENCY or metric in hosts}
    devices_at_hand(insisted, hosts, otherwise="search with `nas search`, which takes --on and --unmeasured")
    devices = {LATENCY: options.device} | {metric: model.device for metric, model in models.items()}
    require_one_precision(devices.items())
    return models


def _budgets(options: RunConfig) -> dict[str, str]:
    return {LATENCY: options.budget, **options.bounds}


def _require_cluster(options: RunConfig) -> None:
    """Raise now what the search would raise after training.

    Raises:
        InputError: there is no such cluster, or measurements are to be made elsewhere.
    """
    if options.cluster.device is not None:
        raise InputError(
            f"cluster device {options.cluster.device!r}: `nas run` profiles, measures and exports here; profile on the "
            "device, then say it to `nas search`"
        )
    if options.cluster.address is not None:
        load_executor(options.cluster).close()


def _tell(verb: str, result: dict[str, Any]) -> None:
    entries = (
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in result.items()
    )
    logger.info("%s: %s", verb, ", ".join(entries))
