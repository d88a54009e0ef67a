"""From a supernet and a feasible region to candidates: evaluate some, predict many, evaluate the best or the front."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_predictors.cost_model import CostModel
from nas import strategies
from nas.data import Dataset
from nas.evaluation.accuracy_predictor import AccuracyPredictor
from nas.evaluation.evaluator import Evaluator
from nas.evaluation.scores import extremes
from nas.evaluation.shared_weights import SharedWeights
from nas.evaluation.zero_cost import ZeroCost
from nas.executors.executor import Executor
from nas.objectives import FeasibleRegion, Objective, scores_of
from nas.pareto import hypervolume_share
from nas.search import History, Search
from nas.search_options import SearchOptions
from nas.strategy import Proposed, Strategy
from search_spaces.errors import InputError, unknown
from search_spaces.plan_index import Population, distinct


@dataclasses.dataclass(frozen=True)
class Dominated:
    """How much of what there could be the front of all that was evaluated dominates, by predicted costs.

    The two points that this is measured between are known before a search, so that searches for one front can be
    compared, whatever they found.

    Attributes:
        share: the hypervolume above the reference point as a share of the box between the points, from 0 to 1.
        reference: by metric: a cost's bound, or the cost of the space's dearest network if that is lower; 0 of a score;
            of cross entropy, that of a guess among all classes.
        ideal: by metric: the cost of the space's cheapest network; 1 of a score; no cross entropy.
    """

    share: float
    reference: Mapping[str, float]
    ideal: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Every network that was evaluated on shared weights, best first.

    Attributes:
        history: networks and their metrics, best first by the metric that was asked for.
        finalists: those to be measured: the same, or some along the front.
        n_predicted: networks whose accuracy was predicted, or that a proxy told about.
        kendall: held-out rank correlation of the predictor, None without one.
        dominated: the front's hypervolume, None where the best was searched for, not a front.
    """

    history: History
    finalists: History
    n_predicted: int
    kendall: float | None
    dominated: Dominated | None


def find_candidates(
    weights: SharedWeights,
    region: FeasibleRegion,
    directory: Path,
    options: SearchOptions,
    belongs_to: Mapping[str, Any],
    *,
    costs: Mapping[str, CostModel] | None = None,
    progress: bool = True,
    executor: Executor | None = None,
) -> Candidates:
    """Spend the evaluations, or go on where an earlier call in the same directory was stopped.

    `belongs_to` says which weights and costs these are, so that no others' journals are gone on with. `costs` are what
    may be lowered, by metric, beside what the region bounds; see `nas.bounds.cost_models`.
    Writes `evaluated.jsonl`, and with a predictor also `predictor.safetensors`, `predicted.jsonl`, `candidates.jsonl`;
    with a proxy instead `proxy.jsonl`, `candidates.jsonl`; for a warm start also `warm_start.jsonl`.
    An executor evaluates; a predictor is asked here, where a message would take longer than the prediction.
    """
    search = _CandidateSearch(weights, region, directory, options, belongs_to, costs or {}, progress, executor)
    find = {
        "predictor": search.by_predictor,
        "shared_weights": search.by_shared_weights,
        "zero_cost": search.by_proxy,
    }
    return find[options.evaluator]()


class _CandidateSearch:
    """The searches, a journal each, of which a search for candidates consists."""

    def __init__(
        self,
        weights: SharedWeights,
        region: FeasibleRegion,
        directory: Path,
        options: SearchOptions,
        belongs_to: Mapping[str, Any],
        costs: Mapping[str, CostModel],
        progress: bool,
        executor: Executor | None,
    ) -> None:
        self._weights, self._region, self._directory, self._options = weights, region, directory, options
        self._belongs_to, self._progress, self._executor = belongs_to, progress, executor
        self._sought = sought_metric(weights.data, options)
        self._costs = _lowered(region, options.costs, costs)
        self._strategy = options.load_strategy()
        self._strategy.use(weights, directory / "strategy", belongs_to, progress=progress)

    def by_shared_weights(self) -> Candidates:
        return self._ended([self._evaluate(self._strategy)])

    def by_proxy(self) -> Candidates:
        objectives = [Objective(self._options.proxy), *self._costs]
        told = ZeroCost(self._region.space, self._weights.data, [self._options.proxy])
        found = self._run(
            "proxy", told, self._strategy, objectives, self._options.n_evaluated, self._best_by_warm_start()
        )
        best = found.population[_promising(found, objectives, self._options.n_candidates)]
        return self._ended([self._evaluate_candidates(best)], len(found.population))

    def by_predictor(self) -> Candidates:
        evaluated = self._evaluate(strategies.load("random_search"))
        if len(evaluated.population) < self._options.n_evaluated:  # all of the region: nothing is left to predict
            return self._ended([evaluated])
        _require_any(evaluated, self._sought)
        predictor = self._predictor(evaluated)
        objectives = [dataclasses.replace(self._sought, metric=f"predicted_{self._sought.metric}"), *self._costs]
        predicted = self._run("predicted", predictor, self._strategy, objectives, self._options.n_predicted, here=True)
        new = _promising(predicted, objectives, self._options.n_candidates, evaluated.population)
        chosen = self._evaluate_candidates(predicted.population[new])
        return self._ended([evaluated, chosen], len(predicted.population), predictor.kendall)

    def _predictor(self, evaluated: History) -> AccuracyPredictor:
        """Return the predictor that is fitted to what was evaluated, or that an earlier call fitted to it.

        Another machine or another version of what fits it would make another one, which is not that of the journal.
        """
        path, metric, space = self._directory / "predictor.safetensors", self._sought.metric, self._region.space
        if not path.exists():
            values = evaluated.metrics[metric]
            AccuracyPredictor.fit(space, evaluated.population, values, self._options.seed, metric).save(path)
        return AccuracyPredictor.load(path, space)

    def _evaluate(self, strategy: Strategy) -> History:
        first, objectives = self._best_by_warm_start(), [self._sought, *self._costs]
        return self._run("evaluated", self._weights, strategy, objectives, self._options.n_evaluated, first)

    def _evaluate_candidates(self, population: Population) -> History:
        objectives = [self._sought, *self._costs]
        return self._run("candidates", self._weights, Proposed(population), objectives, self._options.n_candidates)

    def _best_by_warm_start(self) -> Population | None:
        """Return the networks (n, choices) that a search begins with; None without a warm start."""
        options = self._options.warm_start
        if options.proxy is None:
            return None
        told, by_proxy = ZeroCost(self._region.space, self._weights.data, [options.proxy]), Objective(options.proxy)
        drawn = self._run("warm_start", told, strategies.load("random_search"), [by_proxy], options.n_drawn)
        return drawn.population[drawn.best(options.n_kept, by_proxy)]

    def _run(
        self,
        journal: str,
        evaluator: Evaluator,
        strategy: Strategy,
        objectives: Sequence[Objective],
        budget: int,
        first: Population | None = None,
        *,
        here: bool = False,
    ) -> History:
        return Search(
            evaluator,
            strategy,
            objectives,
            self._region,
            budget=budget,
            seed=self._options.seed,
            journal=self._directory / f"{journal}.jsonl",
            belongs_to=self._belongs_to,
            first=first,
            executor=None if here else self._executor,
            ahead=self._options.ahead if strategy is self._strategy else 0,
        ).run(progress=self._progress)

    def _ended(self, histories: Sequence[History], n_predicted: int = 0, kendall: float | None = None) -> Candidates:
        history = _ranked(self._sought, *histories)
        _require_any(history, self._sought)
        if not self._costs:
            return Candidates(history, history, n_predicted, kendall, None)
        chosen = _along(history.front([self._sought, *self._costs]), self._options.n_front)
        finalists = History(history.population[chosen], {name: v[chosen] for name, v in history.metrics.items()})
        return Candidates(history, finalists, n_predicted, kendall, self._dominated(history))

    def _dominated(self, history: History) -> Dominated:
        objectives = [self._sought, *self._costs]
        worst, best = extremes(self._sought.metric, len(self._weights.data.classes))
        reference, ideal = {self._sought.metric: worst}, {self._sought.metric: best}
        for cost in self._costs:
            assert cost.model is not None, "a cost that is lowered is predicted"
            dearest, _ = cost.model.dearest()
            reference[cost.metric] = min(dearest, self._region.bounds.get(cost.metric, dearest))
            ideal[cost.metric], _ = cost.model.cheapest()
        points = [{metric: np.array([value]) for metric, value in point.items()} for point in (reference, ideal)]
        scores = [scores_of(objectives, metrics) for metrics in (history.metrics, *points)]
        return Dominated(hypervolume_share(scores[0], scores[1][0], scores[2][0]), reference, ideal)


def _require_any(history: History, sought: Objective) -> None:
    """Raise unless some network has a score.

    Raises:
        InputError: the evaluations of all of them failed.
    """
    if not len(history.best(1, sought)):
        raise InputError(
            f"no evaluation gave {sought.metric}, so that no network is left to measure: expected validation examples "
            "with labels, and finite results; what each evaluation came to is in the journal beside this run's results"
        )


def _lowered(region: FeasibleRegion, names: Sequence[str], costs: Mapping[str, CostModel]) -> list[Objective]:
    """Return the costs of these names as objectives: those that are bounded or given."""
    models = {**costs, **{constraint.metric: constraint.model for constraint in region.constraints}}
    for name in names:
        if name not in models:
            raise unknown("cost to be lowered", name, models)
    return [Objective(name, maximise=False, model=models[name]) for name in names]


def _promising(
    predicted: History, objectives: Sequence[Objective], n: int, evaluated: Population | None = None
) -> NDArray[np.int64]:
    """Return the indices of n networks that are not evaluated yet: the best predicted ones, or some of their front."""
    known = set() if evaluated is None else {row.tobytes() for row in evaluated}
    if len(objectives) == 1:
        best = predicted.best(n + len(known), objectives[0])
        return best[distinct(predicted.population[best], known)][:n]
    best = predicted.front(objectives)
    return _along(best[distinct(predicted.population[best], known)], n)


def _along(front: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return at most n of a front's networks, evenly along it, its ends among them."""
    return front[np.unique(np.linspace(0, len(front) - 1, min(n, len(front))).round().astype(np.int64))]


def require_possible(data: Dataset, region: FeasibleRegion, options: SearchOptions) -> None:
    """Raise what a search of this region by such data would raise, before anything is trained or written.

    Raises:
        InputError: the data are not scored by the metric, or the strategy cannot search the space or keep the bounds.
    """
    sought_metric(data, options)
    strategy = options.load_strategy()
    strategies.require_searches(strategy, region.space)
    strategy.require_bounds(region.constraints)


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
