"""`nas search`: the best network of a supernet under a latency budget, measured."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import STATISTIC
from latency_predictors.latency_model import LatencyModel
from nas import plots
from nas.bounds import (
    BOUNDS_HELP,
    DEVICES_HELP,
    HOSTS_HELP,
    LATENCY,
    DevicePaths,
    beside_latency,
    by_metric,
    cost_models,
    feasible_region,
    model_files,
    read_models,
    require_known_metrics,
    require_one_precision,
)
from nas.candidates import Candidates, find_candidates, require_possible
from nas.constraint import in_words
from nas.data import DataOptions, Dataset, load_data
from nas.evaluation.shared_weights import SharedWeights
from nas.executors.options import ClusterOptions, load_executor
from nas.finalists import Finalist, FinalistOptions, devices_at_hand, measured_finalists
from nas.objectives import FeasibleRegion, LatencyBudget
from nas.run_directory import (
    begin_run,
    digest,
    finish_run,
    input_path,
    is_finished,
    read_asked,
    read_run,
    require_same_options,
)
from nas.search import History
from nas.search_options import SearchOptions
from nas.supernet import Supernet
from nas.training import load_checkpoint
from nas.training.checkpoint import FILE as CHECKPOINT
from nas.training.checkpoint import Checkpoint
from nas.training.options import torch_device
from nas.training.train_supernet import describe
from search_spaces import SearchSpace
from search_spaces.errors import InputError
from search_spaces.storage import require_same, write_json

FINALISTS, FINALISTS_SCHEMA = "finalists.json", "finalists/2"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SearchConfig:
    """What is searched, under which budget, and how."""

    supernet: Path = Field(description="output directory of `nas train`")
    table: Path = Field(
        description="output directory of `nas profile` or `nas fit`, or a file: a table, a model or a roofline device"
    )
    budget: LatencyBudget = Field(
        description="highest latency with its unit, as 2.5ms, or 40%: so far from fastest to slowest"
    )
    output: Path = Field(description="directory for the results; an interrupted search in it is continued")
    search: SearchOptions = SearchOptions()
    finalists: FinalistOptions = FinalistOptions()
    bounds: Mapping[str, str] = Field(default_factory=dict, description=BOUNDS_HELP)
    devices: DevicePaths = Field(default_factory=dict, description=DEVICES_HELP)
    allow_foreign_table: bool = Field(default=False, description="use a table that another machine measured")
    unmeasured: bool = Field(
        default=False,
        description="let finalists stand as the table predicts, margin included, where nothing reaches its device",
    )
    host: str | None = Field(
        default=None,
        description="where the table's device is now, as ssh://user@host[:port]; unset: where it was",
        json_schema_extra={"flag": "on"},
    )
    hosts: Mapping[str, str] = Field(default_factory=dict, description=HOSTS_HELP)
    cluster: ClusterOptions = ClusterOptions()
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def search(options: SearchConfig) -> dict[str, Any]:
    """Search a supernet for the most accurate network within a latency budget, and measure the finalists.

    With `--search.costs latency_ms` the front of accuracy and latency is searched for and measured; export then takes
    its most accurate network, or the one that is named.
    """
    require_same_options(options.output, "search", options)  # rather refused now than after all is loaded
    read_run(options.supernet, "train")
    paths, hosts = by_metric(options.devices, options.table), by_metric(options.hosts, options.host)
    models = read_models(paths, hosts)
    elsewhere = options.cluster.device is not None  # where alone it shows whether the table is of that machine
    _require_measured_or_not(options, models[LATENCY])
    find_devices = partial(
        devices_at_hand,
        models,
        hosts,
        allow_foreign=options.allow_foreign_table,
        unmeasured=options.unmeasured,
    )
    trained = _trained(options.supernet)
    _require_known(options, models, trained.search_space)
    devices = {} if elsewhere or is_finished(options.output) else find_devices()
    budgets = {LATENCY: options.budget, **options.bounds}
    region = feasible_region(models, trained.search_space, budgets)  # refused before data are read
    supernet, data = _with_data(options.supernet, trained)
    require_possible(data, region, options.search)  # and before a directory is made
    files = {"supernet": options.supernet / CHECKPOINT, **model_files(paths)}
    inputs = {name: digest(file) for name, file in files.items()}
    if (done := begin_run(options.output, "search", options, inputs, force=options.force)) is not None:
        return done
    n_validation, n_statistics = options.search.n_validation, options.search.n_statistics
    weights = SharedWeights(supernet, data, n_validation=n_validation, n_statistics=n_statistics)
    belongs_to = {**inputs, "budgets": region.bounds}
    with load_executor(options.cluster) as executor:
        if elsewhere:
            devices = find_devices(executor=executor)
        costs = cost_models(models, supernet.space, options.search.costs)
        candidates = find_candidates(
            weights, region, options.output, options.search, belongs_to, costs=costs, executor=executor
        )
        if not elsewhere:
            executor.close()  # what it may have started here would disturb the measurements
        finalists = measured_finalists(
            weights,
            models,
            devices,
            candidates.finalists,
            region.bounds,
            options.finalists,
            options.output / "finalists.jsonl",
            all_of_them=bool(options.search.costs),
            executor=executor,
        )
    _write(options.output, models, data, candidates, finalists, region.bounds)
    best = _best(finalists, region.bounds)
    result = _result(options, models, region, candidates, finalists, best)
    finish_run(options.output, result)
    return result


def _require_measured_or_not(options: SearchConfig, model: LatencyModel) -> None:
    """Raise if it is said that finalists are not measured, and where or that they are."""
    given = [
        flag for flag, said in (("on", options.host), ("allow-foreign-table", options.allow_foreign_table)) if said
    ]
    if options.unmeasured and given:
        raise InputError(f"--unmeasured measures nothing on the table's device: leave out --{given[0]}, or that")
    if options.unmeasured and model.device is None:
        raise InputError(f"--unmeasured does nothing: {options.table} names no device to measure on; leave it out")


def _require_known(options: SearchConfig, models: Mapping[str, LatencyModel], space: SearchSpace) -> None:
    """Raise if what is asked cannot be searched for by these models, before any device is asked or data are read."""
    require_one_precision((metric, model.device) for metric, model in models.items())
    kinds = {metric: type(model) for metric, model in models.items()}
    require_known_metrics(options.bounds, options.search, kinds, space)


def model_paths(directory: Path) -> dict[str, Path]:
    """Return where the latency models of a search lie now, by the metrics of their latencies."""
    names = read_asked(directory)["options"].get("devices", {})  # a search of an earlier version knew of none
    return by_metric({name: input_path(directory, "devices", name) for name in names}, input_path(directory, "table"))


def load_supernet(directory: Path) -> tuple[Supernet, Dataset]:
    """Return trained weights and the data that they were trained on.

    Raises:
        InputError: the training is not finished, or the data have changed since.
    """
    return _with_data(directory, _trained(directory))


def _trained(directory: Path) -> Checkpoint:
    checkpoint, damage = load_checkpoint(directory)
    if checkpoint.step < checkpoint.n_steps:
        raise InputError(
            f"{damage or directory}: trained for {checkpoint.step} of {checkpoint.n_steps} steps; train on"
        )
    return checkpoint


def _with_data(directory: Path, checkpoint: Checkpoint) -> tuple[Supernet, Dataset]:
    data = load_data(DataOptions(**checkpoint.data["options"]))
    require_same(f"the supernet in {directory}", checkpoint.data, describe(data))
    supernet = checkpoint.supernet()
    supernet.to(torch_device("auto")).eval()
    return supernet, data


def _write(
    output: Path,
    models: Mapping[str, LatencyModel],
    data: Dataset,
    candidates: Candidates,
    finalists: list[Finalist],
    bounds: Mapping[str, float],
) -> None:
    document = {"bounds": bounds, "finalists": [finalist.to_json() for finalist in finalists]}
    write_json(output / FINALISTS, FINALISTS_SCHEMA, document)
    metric, metrics = data.metrics[0], candidates.history.metrics
    for latency, model in models.items():
        pareto, predictions = (beside_latency(latency, name) for name in ("pareto.png", "predicted-vs-measured.png"))
        if latency in metrics:  # neither bounded nor lowered itself, it was not recorded
            plots.plot_pareto(output / pareto, latency, metric, metrics, finalists, bounds.get(latency))
        plots.plot_predictions(output / predictions, latency, model, finalists)


def _best(finalists: Sequence[Finalist], bounds: Mapping[str, float]) -> Finalist:
    """Return the first finalist that keeps all bounds.

    Raises:
        InputError: none does, and which is nearest; by measurements, as all are predicted to.
    """
    kept = [finalist for finalist in finalists if finalist.meets_budget]
    if kept:
        return kept[0]

    def latencies(finalist: Finalist) -> dict[str, float]:
        found = {metric: one for metric, one in finalist.latencies.items() if one.measured and metric in bounds}
        return {metric: one.latency_ms for metric, one in found.items()}

    nearest = min(map(latencies, finalists), key=lambda found: max(ms / bounds[metric] for metric, ms in found.items()))
    raise InputError(
        f"none of {len(finalists)} candidates keeps {in_words({metric: bounds[metric] for metric in nearest})} when "
        f"measured; the nearest has {' and '.join(f'{metric} {ms:.4g}' for metric, ms in nearest.items())}: search in "
        "another directory, with higher bounds or with what was profiled again on a quiet machine"
    )


def _result(
    options: SearchConfig,
    models: Mapping[str, LatencyModel],
    region: FeasibleRegion,
    candidates: Candidates,
    finalists: list[Finalist],
    best: Finalist,
) -> dict[str, Any]:
    space, bounds = region.space, region.bounds
    row, others = space.encode([best.architecture]), [c for c in region.constraints if c.metric not in models]
    margins = {
        beside_latency(latency, "table_margin"): model.cost_model(space).margin for latency, model in models.items()
    }
    return {
        "architecture": best.architecture.id,
        **{beside_latency(latency, "budget_ms"): bounds[latency] for latency in models if latency in bounds},
        **_latencies(best),
        "statistic": STATISTIC,
        **margins,
        **{c.metric: float(c.model.predict(row)[0]) for c in others},
        **{f"{c.metric}_bound": c.bound for c in others},
        **{f"validation_{name}": value for name, value in best.metrics.items()},
        "networks_evaluated": len(candidates.history.population),
        "networks_predicted": candidates.n_predicted,
        "predictor_kendall": candidates.kendall,
        "finalists_measured": sum(_is_measured(finalist) for finalist in finalists),
        "finalists_dropped": sum(not finalist.meets_budget for finalist in finalists),
        "output": str(options.output),
        **_of_front(candidates, finalists),
    }


def _is_measured(finalist: Finalist) -> bool:
    return any(latency.measured is not None for latency in finalist.latencies.values())


def _latencies(finalist: Finalist) -> dict[str, float | None]:
    """Return a finalist's latencies on all devices, one name each."""
    found: dict[str, float | None] = {}
    for metric, latency in finalist.latencies.items():
        found[beside_latency(metric, "measured_ms")] = None if latency.measured is None else latency.measured.latency_ms
        found[beside_latency(metric, "predicted_ms")] = latency.predicted_ms
    return found


def _of_front(candidates: Candidates, finalists: Sequence[Finalist]) -> dict[str, Any]:
    """Return what is told of a front: how much it dominates, between which points, and those of it that keep bounds."""
    if (dominated := candidates.dominated) is None:
        return {}
    return {
        "hypervolume": dominated.share,
        "hypervolume_reference": dict(dominated.reference),
        "hypervolume_ideal": dict(dominated.ideal),
        "front": _front(candidates.finalists, finalists),
    }


def _front(history: History, finalists: Sequence[Finalist]) -> list[dict[str, Any]]:
    """Return the networks along the front that keep all bounds, the most accurate first."""
    return [
        {
            "architecture": finalist.architecture.id,
            **_latencies(finalist),
            **{name: float(values[i]) for name, values in history.metrics.items()},
        }
        for i, finalist in enumerate(finalists)
        if finalist.meets_budget
    ]
