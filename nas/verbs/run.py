"""`nas run`: all verbs in turn, from data and a budget to a bundle."""

import logging
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device
from latency_predictors.profile import ProfileOptions
from latency_predictors.saved_models import read_latency_model
from latency_predictors.table.latency_table import LatencyTable
from nas.candidates import require_costs, require_possible
from nas.config import require_unsaid
from nas.data import DataOptions
from nas.executors.options import ClusterOptions, load_executor
from nas.finalists import FinalistOptions
from nas.objectives import LatencyBudget
from nas.run_directory import begin_run, finish_run
from nas.search_options import SearchOptions
from nas.training import SupernetOptions
from nas.verbs.export import ExportConfig, ExportOptions, export
from nas.verbs.profile import ProfileConfig, SceneQuantiles, profile
from nas.verbs.search import SearchConfig, feasible_region, load_table, search
from nas.verbs.space_config import SpaceConfig, load_for
from nas.verbs.train import TrainConfig, train
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
    export: ExportOptions = ExportOptions()
    cluster: ClusterOptions = ClusterOptions()
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def run(options: RunConfig) -> dict[str, Any]:
    """Train, profile, search and export in turn: from data and a latency budget to a measured network."""
    loaded, data = load_for(options.space, options.data)
    for training in (options.train, options.export.training):  # what later verbs would refuse is refused now
        data.require_heeded(training.augmentation)
    require_possible(data, loaded, options.search)
    if options.table is None:
        options.device.require_possible()
        require_costs(options.search.costs, LatencyTable, loaded)
    else:
        require_unsaid(options, ("device", "profile", "scenes"), "a profile, whose place --table takes")
        require_costs(options.search.costs, type(read_latency_model(options.table)), loaded)
    _require_cluster(options)
    data_digest = {"data": data.fingerprint}
    done = begin_run(options.output, "run", options, data_digest, of_verbs=True, force=options.force)
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
    feasible_region(load_table(table), named.load(), options.budget)  # rather refused now than after training
    _tell("train", train(TrainConfig(data.options, trained, named, options.train, options.force)))
    searching = SearchConfig(
        trained,
        table,
        options.budget,
        searched,
        options.search,
        options.finalists,
        cluster=options.cluster,
        force=options.force,
    )
    _tell("search", search(searching))
    result = export(ExportConfig(searched, bundle, options.export, force=options.force))
    finish_run(options.output, result)
    return result


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
