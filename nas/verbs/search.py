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
from nas.bounds import LATENCY, cost_models, feasible_region, require_known
from nas.candidates import Candidates, find_candidates, require_possible
from nas.data import DataOptions, Dataset, load_data
from nas.evaluation.shared_weights import SharedWeights
from nas.executors.options import ClusterOptions, load_executor
from nas.finalists import Finalist, FinalistOptions, measured_finalists
from nas.objectives import LatencyBudget
from nas.run_directory import begin_run, digest, finish_run, read_run
from nas.search import History
from nas.search_options import SearchOptions
from nas.supernet import Supernet
from nas.training import load_checkpoint
from nas.training.checkpoint import FILE as CHECKPOINT
from nas.training.options import torch_device
from nas.training.train_supernet import describe
from search_spaces.errors import InputError
from search_spaces.storage import require_same, write_json

FINALISTS, FINALISTS_SCHEMA = "finalists.json", "finalists/1"

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
    bounds: Mapping[str, str] = Field(
        default_factory=dict,
        description="further bounds, each with its metric's unit or a percentage: macs=5e6macs, n_parameters=40%, "
        "peak_activation_bytes=65536bytes; energy_mj=2mj where the latency model knows it",
    )
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
    table = load(options.table, host=options.host)
    supernet, data = load_supernet(options.supernet)
    models = {LATENCY: table}
    require_possible(data, supernet.space, options.search)  # refused before a directory is made
    kinds = {metric: type(model) for metric, model in models.items()}
    require_known(options.bounds, options.search.costs, kinds, supernet.space)
    region = feasible_region(models, supernet.space, {LATENCY: options.budget, **options.bounds})
    budget_ms = region.bounds[LATENCY]
    inputs = {"supernet": digest(options.supernet / CHECKPOINT), "table": digest(model_file(options.table))}
    if (done := begin_run(options.output, "search", options, inputs, force=options.force)) is not None:
        return done
    n_validation, n_statistics = options.search.n_validation, options.search.n_statistics
    weights = SharedWeights(supernet, data, n_validation=n_validation, n_statistics=n_statistics)
    belongs_to = {**inputs, "budgets": region.bounds}
    journal = options.output / "finalists.jsonl"
    along_front = bool(options.search.costs)
    with load_executor(options.cluster) as executor:
        if elsewhere and not options.allow_foreign_table:
            executor.measure(table.require_at_hand)
        costs = cost_models(models, supernet.space, options.search.costs)
        candidates = find_candidates(
            weights, region, options.output, options.search, belongs_to, costs=costs, executor=executor
        )
        if not elsewhere:
            executor.close()  # what it may have started here would disturb the measurements
        finalists = measured_finalists(
            weights,
            table,
            candidates.finalists,
            budget_ms,
            options.finalists,
            journal,
            all_of_them=along_front,
            executor=executor,
        )
    _write(options.output, table, data, candidates, finalists, budget_ms)
    found = [finalist for finalist in finalists if finalist.meets_budget]
    if not found:
        nearest = min(finalist.latency_ms for finalist in finalists)
        raise InputError(
            f"none of {len(finalists)} candidates keeps {budget_ms:.4g} ms when measured; the nearest takes "
            f"{nearest:.4g} ms: raise the budget, or profile again on a quiet machine"
        )
    margin = table.cost_model(supernet.space).margin
    result = _result(options, margin, candidates, finalists, budget_ms)
    finish_run(options.output, result)
    return result


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
    table: LatencyModel,
    data: Dataset,
    candidates: Candidates,
    finalists: list[Finalist],
    budget_ms: float,
) -> None:
    document = {"budget_ms": budget_ms, "finalists": [finalist.to_json() for finalist in finalists]}
    write_json(output / FINALISTS, FINALISTS_SCHEMA, document)
    metric, metrics = data.metrics[0], candidates.history.metrics
    plots.plot_pareto(output / "pareto.png", metrics["latency_ms"], metric, metrics[metric], finalists, budget_ms)
    plots.plot_predictions(output / "predicted-vs-measured.png", table, finalists)


def _result(
    options: SearchConfig, margin: float, candidates: Candidates, finalists: list[Finalist], budget_ms: float
) -> dict[str, Any]:
    best = next(finalist for finalist in finalists if finalist.meets_budget)
    return {
        "architecture": best.architecture.id,
        "budget_ms": budget_ms,
        "measured_ms": best.measured and best.measured.latency_ms,
        "predicted_ms": best.predicted_ms,
        "statistic": STATISTIC,
        "table_margin": margin,
        **{f"validation_{name}": value for name, value in best.metrics.items()},
        "networks_evaluated": len(candidates.history.population),
        "networks_predicted": candidates.n_predicted,
        "predictor_kendall": candidates.kendall,
        "finalists_measured": sum(finalist.measured is not None for finalist in finalists),
        "finalists_dropped": sum(not finalist.meets_budget for finalist in finalists),
        "output": str(options.output),
        **({"front": _front(candidates.finalists, finalists)} if options.search.costs else {}),
    }


def _front(history: History, finalists: Sequence[Finalist]) -> list[dict[str, Any]]:
    """Return the networks along the front that keep the budget, the most accurate first."""
    return [
        {
            "architecture": finalist.architecture.id,
            "measured_ms": finalist.measured and finalist.measured.latency_ms,
            "predicted_ms": finalist.predicted_ms,
            **{name: float(values[i]) for name, values in history.metrics.items()},
        }
        for i, finalist in enumerate(finalists)
        if finalist.meets_budget
    ]
