"""From a supernet and a feasible region to candidates: evaluate some, predict many, evaluate the best or the front."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.cost_model import CostModel
from latency_predictors.counts import count_models
from nas import strategies
from nas.data import Dataset
from nas.evaluation.accuracy_predictor import AccuracyPredictor
from nas.evaluation.evaluator import Evaluator
from nas.evaluation.shared_weights import SharedWeights
from nas.evaluation.zero_cost import ZeroCost, require_known
from nas.objectives import FeasibleRegion, Objective
from nas.search import History, Search
from nas.strategy import Proposed, Strategy
from search_spaces import SearchSpace
from search_spaces.errors import InputError, unknown
from search_spaces.plan_index import Population

_FOR_THE_BEST = {"predictor": "ofa_evolution", "shared_weights": "predictor_guided", "zero_cost": "ofa_evolution"}
"""The strategy of a search that names none: of those measured, the one that finds most in so many evaluations."""

_FOR_THE_FRONT = _FOR_THE_BEST | {"predictor": "nsga2", "zero_cost": "nsga2"}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class StrategyOptions:
    """A search strategy by name, and its options."""

    name: str | None = Field(
        default=None,
        description="search strategy: a file of nas/strategies; unset: ofa_evolution, for a front nsga2, and "
        "predictor_guided on shared weights, where an evaluation is dear",
    )
    options: Mapping[str, Any] = Field(default_factory=dict, description="of the strategy, such as population=50")

    def __post_init__(self) -> None:
        if self.name is not None:
            strategies.load(self.name, **self.options)  # refused now rather than after training


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WarmStart:
    """The best of random networks by a zero-cost proxy are evaluated before all others."""

    proxy: str | None = Field(
        default=None, description="zero-cost proxy, such as naswot, synflow, zico or macs; unset: none, no warm start"
    )
    n_drawn: int = Field(default=200, ge=1, description="random networks that the proxy is asked about")
    n_kept: int = Field(default=20, ge=1, description="its best, evaluated first")

    def __post_init__(self) -> None:
        if self.proxy is not None:
            require_known(self.proxy)
        if self.n_kept > self.n_drawn:
            raise InputError(f"a warm start keeps {self.n_kept} of {self.n_drawn} networks drawn: draw more")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SearchOptions:
    """How a search spends its evaluations."""

    evaluator: Literal["predictor", "shared_weights", "zero_cost"] = Field(
        default="predictor",
        description="what the strategy asks: a predictor fitted first, shared weights each time, or a zero-cost proxy",
    )
    proxy: str = Field(default="naswot", description="with evaluator zero_cost: which proxy, as for a warm start")
    warm_start: WarmStart = WarmStart()
    metric: str | None = Field(
        default=None,
        description="of the validation examples; unset: the first that the data are scored by, as accuracy; "
        "cross_entropy where examples are few and accuracies equal",
    )
    costs: tuple[Literal["latency_ms", "macs", "n_parameters", "peak_activation_bytes"], ...] = Field(
        default=(), description="lowered beside the metric, so that the front of all is searched for, not the best"
    )
    n_front: int = Field(default=8, ge=1, description="with costs: networks along the front that are measured")
    strategy: StrategyOptions = StrategyOptions()
    n_evaluated: int = Field(default=200, ge=10, description="networks evaluated, on shared weights or by the proxy")
    n_predicted: int = Field(
        default=50_000, ge=1, description="with a predictor: networks it is asked about, if the region has so many"
    )
    n_candidates: int = Field(
        default=20, ge=1, description="with a predictor or a proxy: its best, evaluated on shared weights"
    )
    n_validation: int | None = Field(default=None, ge=1, description="validation examples an evaluation; unset: all")
    n_statistics: int | None = Field(
        default=None, ge=64, description="training examples for batch-norm statistics; unset: 1024, of scenes 64"
    )
    seed: int = Field(default=0, ge=0, description="of the networks and the strategy")

    def __post_init__(self) -> None:
        require_known(self.proxy)
        strategy, name = self.load_strategy(), self.strategy_name
        if strategy.searches_weights and self.evaluator != "shared_weights":
            raise InputError(f"strategy {name} searches shared weights, nothing else: say evaluator shared_weights")
        if strategy.for_dear_evaluations and self.evaluator == "predictor":
            raise InputError(
                f"strategy {name} would not end on {self.n_predicted} predictions: it is for few, dear "
                "evaluations; say evaluator shared_weights"
            )
        if self.costs:
            strategies.require_serves(
                strategy, [Objective(name) for name in (self.metric or "the metric", *self.costs)]
            )

    def load_strategy(self) -> Strategy:
        """Return the strategy that was named, or the evaluator's.

        Raises:
            InputError: it has no such options.
        """
        return strategies.load(self.strategy_name, **self.strategy.options)

    @property
    def strategy_name(self) -> str:
        """That of the strategy that was named, or the one for the evaluator and the number of objectives."""
        return self.strategy.name or (_FOR_THE_FRONT if self.costs else _FOR_THE_BEST)[self.evaluator]


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Every network that was evaluated on shared weights, best first.

    Attributes:
        history: networks and their metrics, best first by the metric that was asked for.
        finalists: those to be measured: the same, or some along the front.
        n_predicted: networks whose accuracy was predicted, or that a proxy told about.
        kendall: held-out rank correlation of the predictor, None without one.
    """

    history: History
    finalists: History
    n_predicted: int
    kendall: float | None


def find_candidates(
    weights: SharedWeights,
    region: FeasibleRegion,
    directory: Path,
    options: SearchOptions,
    belongs_to: Mapping[str, Any],
    *,
    progress: bool = True,
) -> Candidates:
    """Spend the evaluations, or go on where an earlier call in the same directory was stopped.

    `belongs_to` says which weights and costs these are, so that no others' journals are gone on with.
    Writes `evaluated.jsonl`, and with a predictor also `predictor.safetensors`, `predicted.jsonl`, `candidates.jsonl`;
    with a proxy instead `proxy.jsonl`, `candidates.jsonl`; for a warm start also `warm_start.jsonl`.
    """
    sought, *costs = objectives = [sought_metric(weights.data, options), *_lowered(region, options.costs)]
    predicted_objectives = [dataclasses.replace(sought, metric=f"predicted_{sought.metric}"), *costs]

    def run(
        journal: str,
        evaluator: Evaluator,
        strategy: Strategy,
        objectives: Sequence[Objective],
        budget: int,
        first: Population | None = None,
    ) -> History:
        path = directory / journal
        search = Search(
            evaluator,
            strategy,
            objectives,
            region,
            budget=budget,
            seed=options.seed,
            journal=path,
            belongs_to=belongs_to,
            first=first,
        )
        return search.run(progress=progress)

    first = _best_by_proxy(run, weights, options.warm_start)
    strategy = options.load_strategy()
    strategy.use(weights, directory / "strategy", belongs_to)
    if options.evaluator == "shared_weights":
        evaluated = run("evaluated.jsonl", weights, strategy, objectives, options.n_evaluated, first)
        return _candidates(objectives, options, [evaluated])
    if options.evaluator == "zero_cost":
        told, by_proxy = ZeroCost(region.space, weights.data, [options.proxy]), [Objective(options.proxy), *costs]
        found = run("proxy.jsonl", told, strategy, by_proxy, options.n_evaluated, first)
        best = found.population[_promising(found, by_proxy, options.n_candidates)]
        chosen = run("candidates.jsonl", weights, Proposed(best), objectives, options.n_candidates)
        return _candidates(objectives, options, [chosen], len(found.population))
    random = strategies.load("random_search")
    evaluated = run("evaluated.jsonl", weights, random, objectives, options.n_evaluated, first)
    if len(evaluated.population) < options.n_evaluated:  # that is all of the region: nothing is left to predict
        return _candidates(objectives, options, [evaluated])
    values = evaluated.metrics[sought.metric]
    predictor = AccuracyPredictor.fit(region.space, evaluated.population, values, options.seed, sought.metric)
    predictor.save(directory / "predictor.safetensors")
    predicted = run("predicted.jsonl", predictor, strategy, predicted_objectives, options.n_predicted)
    new = _promising(predicted, predicted_objectives, options.n_candidates, evaluated.population)
    chosen = run("candidates.jsonl", weights, Proposed(predicted.population[new]), objectives, options.n_candidates)
    return _candidates(objectives, options, [evaluated, chosen], len(predicted.population), predictor.kendall)


def _lowered(region: FeasibleRegion, names: Sequence[str]) -> list[Objective]:
    """Return the costs of these names as objectives: those that are bounded, and counts."""
    models: dict[str, CostModel] = {constraint.metric: constraint.model for constraint in region.constraints}
    if any(name not in models for name in names):
        models = count_models(region.space) | models
    return [Objective(name, maximise=False, model=models[name]) for name in names]


def _promising(
    predicted: History, objectives: Sequence[Objective], n: int, evaluated: Population | None = None
) -> NDArray[np.int64]:
    """Return the indices of n networks that are not evaluated yet: the best predicted ones, or some of their front."""
    known = set() if evaluated is None else {row.tobytes() for row in evaluated}
    if len(objectives) == 1:
        best = predicted.best(n + len(known), objectives[0])
        return best[[predicted.population[i].tobytes() not in known for i in best]][:n]
    best = predicted.front(objectives)
    return _along(best[[predicted.population[i].tobytes() not in known for i in best]], n)


def _along(front: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return at most n of a front's networks, evenly along it, its ends among them."""
    return front[np.unique(np.linspace(0, len(front) - 1, min(n, len(front))).round().astype(np.int64))]


def _candidates(
    objectives: Sequence[Objective],
    options: SearchOptions,
    histories: Sequence[History],
    n_predicted: int = 0,
    kendall: float | None = None,
) -> Candidates:
    history = _ranked(objectives[0], *histories)
    finalists = history
    if len(objectives) > 1:
        chosen = _along(history.front(objectives), options.n_front)
        finalists = History(history.population[chosen], {name: v[chosen] for name, v in history.metrics.items()})
    return Candidates(history, finalists, n_predicted, kendall)


def require_possible(data: Dataset, space: SearchSpace, options: SearchOptions) -> None:
    """Raise what a search of this space by such data would raise, before anything is trained or written.

    Raises:
        InputError: the data are not scored by the metric, or the strategy cannot search the space.
    """
    sought_metric(data, options)
    strategies.require_searches(options.load_strategy(), space)


def _best_by_proxy(run: Callable[..., History], weights: SharedWeights, options: WarmStart) -> Population | None:
    """Return the networks (n, choices) that a search begins with; None without a warm start."""
    if options.proxy is None:
        return None
    told, by_proxy = ZeroCost(weights.space, weights.data, [options.proxy]), Objective(options.proxy)
    drawn = run("warm_start.jsonl", told, strategies.load("random_search"), [by_proxy], options.n_drawn)
    return drawn.population[drawn.best(options.n_kept, by_proxy)]


def sought_metric(data: Dataset, options: SearchOptions) -> Objective:
    """Return what is maximised, or for cross entropy minimised.

    Raises:
        InputError: the data are not scored by the metric that was asked for.
    """
    metric = options.metric or data.metrics[0]
    if metric not in data.metrics:
        raise unknown(f"metric of {data.name}", metric, data.metrics)
    return Objective(metric, maximise=metric != "cross_entropy")


def _ranked(sought: Objective, *histories: History) -> History:
    """Return all networks, best first; the lower cross entropy first among equals."""
    joined = {
        name: np.concatenate([history.metrics[name] for history in histories if name in history.metrics])
        for name in histories[0].metrics
    }
    population = np.concatenate([history.population for history in histories])
    order = np.lexsort((joined["cross_entropy"], -sought.score(joined)))
    order = order[~np.isnan(joined[sought.metric][order])]
    return History(population[order], {name: values[order] for name, values in joined.items()})
