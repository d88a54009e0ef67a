"""`nas search`: the best network of a supernet under a latency budget, measured."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import STATISTIC
from latency_predictors.latency_model import LatencyModel
from latency_predictors.saved_models import model_file, read_latency_model
from nas import plots
from nas.bounds import (
    BOUNDS_HELP,
    DEVICES_HELP,
    LATENCY,
    DevicePaths,
    beside,
    by_metric,
    cost_models,
    device_of,
    feasible_region,
    require_known,
    require_one_precision,
)
from nas.candidates import Candidates, find_candidates, require_possible
from nas.constraint import told
from nas.data import DataOptions, Dataset, load_data
from nas.evaluation.shared_weights import SharedWeights
from nas.executors.options import ClusterOptions, load_executor
from nas.finalists import Finalist, FinalistOptions, measured_finalists
from nas.objectives import FeasibleRegion, LatencyBudget
from nas.run_directory import begin_run, digest, finish_run, input_path, read_asked, read_run
from nas.search import History
from nas.search_options import SearchOptions
from nas.supernet import Supernet
from nas.training import load_checkpoint
from nas.training.checkpoint import FILE as CHECKPOINT
from nas.training.options import torch_device
from nas.training.train_supernet import describe
from search_spaces.errors import InputError
from search_spaces.storage import require_same, write_json

FINALISTS, FINALISTS_SCHEMA = "finalists.json", "finalists/2"

logger = logging.getLogger(__name__)


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
    host: str | None = Field(
        default=None,
        description="where the table's device is now, as ssh://user@host[:port]; unset: where it was",
        json_schema_extra={"flag": "on"},
    )
    cluster: ClusterOptions = ClusterOptions()
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def search(options: SearchConfig) -> dict[str, Any]:
    """Search a supernet for the most accurate network within a latency budget, and measure the finalists.

    With `--search.costs latency_ms` the front of accuracy and latency is searched for and measured; export then takes
    its most accurate network, or the one that is named.
    """
    read_run(options.supernet, "train")
    elsewhere = options.cluster.device is not None  # where alone it shows whether the table is of that machine
    load = read_table if elsewhere else partial(load_table, allow_foreign=options.allow_foreign_table)
    paths = by_metric(options.devices, options.table)
    models = {metric: load(path, host=options.host if metric == LATENCY else None) for metric, path in paths.items()}
    require_one_precision((metric, model.device) for metric, model in models.items())
    supernet, data = load_supernet(options.supernet)
    require_possible(data, supernet.space, options.search)  # refused before a directory is made
    kinds = {metric: type(model) for metric, model in models.items()}
    require_known(options.bounds, options.search, kinds, supernet.space)
    region = feasible_region(models, supernet.space, {LATENCY: options.budget, **options.bounds})
    files = {"supernet": options.supernet / CHECKPOINT, **model_files(paths)}
    inputs = {name: digest(file) for name, file in files.items()}
    if (done := begin_run(options.output, "search", options, inputs, force=options.force)) is not None:
        return done
    n_validation, n_statistics = options.search.n_validation, options.search.n_statistics
    weights = SharedWeights(supernet, data, n_validation=n_validation, n_statistics=n_statistics)
    belongs_to = {**inputs, "budgets": region.bounds}
    journal = options.output / "finalists.jsonl"
    along_front = bool(options.search.costs)
    with load_executor(options.cluster) as executor:
        if elsewhere and not options.allow_foreign_table:
            for model in models.values():
                executor.measure(model.require_at_hand)
        costs = cost_models(models, supernet.space, options.search.costs)
        candidates = find_candidates(
            weights, region, options.output, options.search, belongs_to, costs=costs, executor=executor
        )
        if not elsewhere:
            executor.close()  # what it may have started here would disturb the measurements
        finalists = measured_finalists(
            weights,
            models,
            candidates.finalists,
            region.bounds,
            options.finalists,
            journal,
            all_of_them=along_front,
            executor=executor,
        )
    _write(options.output, models, data, candidates, finalists, region.bounds)
    best = _best(finalists, region.bounds)
    result = _result(options, models, region, candidates, finalists, best)
    finish_run(options.output, result)
    return result


def model_files(paths: Mapping[str, Path]) -> dict[str, Path]:
    """Return the files of latency models, by the metrics of their latencies, by what they are called among inputs."""
    return {
        "table" if metric == LATENCY else f"device {device_of(metric)}": model_file(path)
        for metric, path in paths.items()
    }


def model_paths(directory: Path) -> dict[str, Path]:
    """Return where the latency models of a search lie now, by the metrics of their latencies."""
    names = read_asked(directory)["options"].get("devices", {})  # a search of an earlier version knew of none
    return by_metric({name: input_path(directory, "devices", name) for name in names}, input_path(directory, "table"))


def load_table(path: Path, allow_foreign: bool = False, host: str | None = None) -> LatencyModel:
    """Read a latency model, and refuse one of a machine that is not at hand unless that is allowed.

    Args:
        path: the file, or an output directory that holds one.
        allow_foreign: whether to use a table that another machine measured.
        host: where its device is now; None for where it was.

    Raises:
        InputError: there is no such model, or it is another machine's.
    """
    table = read_table(path, host)
    try:
        table.require_at_hand()
    except InputError as error:
        if not allow_foreign:
            raise
        logger.warning("used all the same: %s", error)
    return table


def read_table(path: Path, host: str | None = None) -> LatencyModel:
    """Read a latency model, whosever it is; see `load_table`.

    Raises:
        InputError: there is no such model.
    """
    table = read_latency_model(path)
    return table if host is None else table.moved(host)


def load_supernet(directory: Path) -> tuple[Supernet, Dataset]:
    """Return trained weights and the data that they were trained on.

    Raises:
        InputError: the data have changed since.
    """
    checkpoint, damage = load_checkpoint(directory)
    if checkpoint.step < checkpoint.n_steps:
        raise InputError(
            f"{damage or directory}: trained for {checkpoint.step} of {checkpoint.n_steps} steps; train on"
        )
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
        pareto, predictions = (beside(latency, name) for name in ("pareto.png", "predicted-vs-measured.png"))
        plots.plot_pareto(output / pareto, latency, metric, metrics, finalists, bounds.get(latency))
        plots.plot_predictions(output / predictions, latency, model, finalists)


def _best(finalists: Sequence[Finalist], bounds: Mapping[str, float]) -> Finalist:
    """Return the first finalist that keeps all bounds.

    Raises:
        InputError: none does, and which is nearest.
    """
    kept = [finalist for finalist in finalists if finalist.meets_budget]
    if kept:
        return kept[0]

    def latencies(finalist: Finalist) -> dict[str, float]:
        return {metric: one.latency_ms for metric, one in finalist.latencies.items() if metric in bounds}

    nearest = min(map(latencies, finalists), key=lambda found: max(ms / bounds[metric] for metric, ms in found.items()))
    raise InputError(
        f"none of {len(finalists)} candidates keeps {told({metric: bounds[metric] for metric in nearest})} when "
        f"measured; the nearest has {' and '.join(f'{metric} {ms:.4g}' for metric, ms in nearest.items())}: raise the "
        "bounds, or profile again on a quiet machine"
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
    margins = {beside(latency, "table_margin"): model.cost_model(space).margin for latency, model in models.items()}
    return {
        "architecture": best.architecture.id,
        **{beside(latency, "budget_ms"): bounds[latency] for latency in models if latency in bounds},
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
        **({"front": _front(candidates.finalists, finalists)} if options.search.costs else {}),
    }


def _is_measured(finalist: Finalist) -> bool:
    return any(latency.measured is not None for latency in finalist.latencies.values())


def _latencies(finalist: Finalist) -> dict[str, float | None]:
    """Return a finalist's latencies on all devices, one name each."""
    found: dict[str, float | None] = {}
    for metric, latency in finalist.latencies.items():
        found[beside(metric, "measured_ms")] = None if latency.measured is None else latency.measured.latency_ms
        found[beside(metric, "predicted_ms")] = latency.predicted_ms
    return found


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
