"""From a supernet and a feasible region to ranked candidates: evaluate some, predict many, evaluate the best."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas import strategies
from nas.data import Dataset
from nas.evaluation.accuracy_predictor import AccuracyPredictor
from nas.evaluation.evaluator import Evaluator
from nas.evaluation.shared_weights import SharedWeights
from nas.objectives import FeasibleRegion, Objective
from nas.search import History, Search
from nas.strategy import Proposed, Strategy
from search_spaces.errors import InputError, unknown

_BY_EVALUATOR = {"predictor": "ofa_evolution", "shared_weights": "predictor_guided"}
"""The strategy of a search that names none: of those measured, the one that finds most in so many evaluations."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class StrategyOptions:
    """A search strategy by name, and its options."""

    name: str | None = Field(
        default=None,
        description="search strategy: a file of nas/strategies; unset: ofa_evolution on predictions, "
        "predictor_guided on shared weights, where an evaluation is dear",
    )
    options: Mapping[str, Any] = Field(default_factory=dict, description="of the strategy, such as population=50")

    def __post_init__(self) -> None:
        if self.name is not None:
            strategies.load(self.name, **self.options)  # refused now rather than after training


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SearchOptions:
    """How a search spends its evaluations."""

    evaluator: Literal["predictor", "shared_weights"] = Field(
        default="predictor", description="what the strategy asks: a predictor fitted first, or shared weights each time"
    )
    metric: str | None = Field(
        default=None,
        description="of the validation examples; unset: the first that the data are scored by, as accuracy; "
        "cross_entropy where examples are few and accuracies equal",
    )
    strategy: StrategyOptions = StrategyOptions()
    n_evaluated: int = Field(default=200, ge=10, description="networks evaluated on shared weights")
    n_predicted: int = Field(
        default=50_000, ge=1, description="with a predictor: networks it is asked about, if the region has so many"
    )
    n_candidates: int = Field(default=20, ge=1, description="with a predictor: its best, evaluated on shared weights")
    n_validation: int | None = Field(default=None, ge=1, description="validation examples an evaluation; unset: all")
    n_statistics: int | None = Field(
        default=None, ge=64, description="training examples for batch-norm statistics; unset: 1024, of scenes 64"
    )
    seed: int = Field(default=0, ge=0, description="of the networks and the strategy")

    def __post_init__(self) -> None:
        strategy = self.load_strategy()
        if strategy.searches_weights and self.evaluator == "predictor":
            raise InputError(
                f"strategy {self.strategy.name} searches shared weights, not predictions: say evaluator shared_weights"
            )
        if strategy.for_dear_evaluations and self.evaluator == "predictor":
            raise InputError(
                f"strategy {self.strategy.name} would not end on {self.n_predicted} predictions: it is for few, dear "
                "evaluations; say evaluator shared_weights"
            )

    def load_strategy(self) -> Strategy:
        """Return the strategy that was named, or the evaluator's.

        Raises:
            InputError: it has no such options.
        """
        return strategies.load(self.strategy.name or _BY_EVALUATOR[self.evaluator], **self.strategy.options)


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Every network that was evaluated on shared weights, best first.

    Attributes:
        history: networks and their metrics, best first by the metric that was asked for.
        n_predicted: networks whose accuracy was predicted.
        kendall: held-out rank correlation of the predictor, None without one.
    """

    history: History
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
    Writes `evaluated.jsonl`, and with a predictor also `predictor.safetensors`, `predicted.jsonl`, `candidates.jsonl`.
    """
    sought = sought_metric(weights.data, options)
    predicted_sought = dataclasses.replace(sought, metric=f"predicted_{sought.metric}")

    def run(journal: str, evaluator: Evaluator, strategy: Strategy, objective: Objective, budget: int) -> History:
        path = directory / journal
        search = Search(
            evaluator,
            strategy,
            [objective],
            region,
            budget=budget,
            seed=options.seed,
            journal=path,
            belongs_to=belongs_to,
        )
        return search.run(progress=progress)

    strategy = options.load_strategy()
    strategy.use(weights, directory / "strategy", belongs_to)
    if options.evaluator == "shared_weights":
        evaluated = run("evaluated.jsonl", weights, strategy, sought, options.n_evaluated)
        return Candidates(_ranked(sought, evaluated), 0, None)
    evaluated = run("evaluated.jsonl", weights, strategies.load("random_search"), sought, options.n_evaluated)
    if len(evaluated.population) < options.n_evaluated:  # that is all of the region: nothing is left to predict
        return Candidates(_ranked(sought, evaluated), 0, None)
    values = evaluated.metrics[sought.metric]
    predictor = AccuracyPredictor.fit(region.space, evaluated.population, values, options.seed, sought.metric)
    predictor.save(directory / "predictor.safetensors")
    predicted = run("predicted.jsonl", predictor, strategy, predicted_sought, options.n_predicted)
    known = {row.tobytes() for row in evaluated.population}
    best = predicted.best(options.n_candidates + len(known), predicted_sought)
    new = [i for i in best if predicted.population[i].tobytes() not in known][: options.n_candidates]
    chosen = run("candidates.jsonl", weights, Proposed(predicted.population[new]), sought, options.n_candidates)
    return Candidates(_ranked(sought, evaluated, chosen), len(predicted.population), predictor.kendall)


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
