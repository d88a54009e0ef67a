"""The search: ask, evaluate, tell, record; it knows neither the space nor the strategy inside."""

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from latency_predictors.cost_model import CostModel
from nas import strategies
from nas.constraint import in_words
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.executors.executor import Executor
from nas.executors.in_order import InOrder
from nas.executors.local import LocalExecutor
from nas.objectives import FeasibleRegion, Limit, Objective, identity, scores_of, violations_of
from nas.pareto import front
from nas.recorder import RESERVED, Recorder
from nas.strategy import Strategy
from search_spaces.errors import InputError, unknown
from search_spaces.plan_index import Population, distinct
from search_spaces.plugins import configured
from search_spaces.progress import progress_bar

logger = logging.getLogger(__name__)

_STALE_ASKS = 50
"""A strategy that proposes nothing new so many times in a row has nothing left to say for now."""

_RANDOM = 10
"""So many random networks at least take the place of what a strategy has nothing new to say to."""

_FREE_LEAD = 16
"""Asks by which a strategy that learns nothing is ahead: it proposes the same whenever it is asked."""


@checked_dataclass(frozen=True, config=ConfigDict(arbitrary_types_allowed=True))
class _Asked:
    """What is asked of a search, apart from what it is put together of."""

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...]
    journal: Path | None
    first: NDArray[Any] | None
    budget: int = Field(ge=1)
    seed: int = Field(ge=0)
    ahead: int = Field(ge=0)


@dataclass(frozen=True)
class History:
    """The distinct networks that were evaluated, (N, choices), in order, and their metrics, (N,) each."""

    population: Population
    metrics: Metrics

    def front(self, objectives: Sequence[Objective], limits: Sequence[Limit] = ()) -> NDArray[np.int64]:
        """Return the indices of the networks that none dominates among those that keep the limits; failed ones never.

        The best by the first objective comes first.
        """
        kept = np.flatnonzero(violations_of(limits, self.metrics, len(self.population)) == 0)
        return kept[front(scores_of(objectives, self.metrics)[kept])]

    def best(self, n: int, objective: Objective, limits: Sequence[Limit] = ()) -> NDArray[np.int64]:
        """Return the indices of the n best among those that keep the limits, best first; failed ones never.

        Of equal ones the earlier are first.
        """
        scores = objective.score(self.metrics)
        order = np.argsort(-scores, kind="stable")
        kept = violations_of(limits, self.metrics, len(self.population)) == 0
        return np.asarray(order[(kept & ~np.isnan(scores))[order]][:n])


class Search:
    """Spends a budget of evaluations on the networks that a strategy proposes.

    Where it has nothing new to propose, random networks of the region that are new take its turn, and it is told of
    them, so that equal budgets are equal in small spaces, too.

    Args:
        evaluator: says how good networks are.
        strategy: proposes them.
        objectives: what the strategy is to improve, one or several at once: metrics of the evaluator, or costs of
            cost models of their own.
        region: the networks that keep the constraints.
        limits: bounds on metrics of the evaluator; networks that exceed them are recorded, but rank behind all others.
        budget: distinct networks to evaluate; equal networks are evaluated once.
        seed: of the strategy.
        journal: file of every evaluation; an existing one of the same search is continued. None keeps no journal.
        belongs_to: what the journal is recorded under beside the space, seed, strategy, objectives, bounds, limits and
            metrics, such as which weights are evaluated, so that it is not continued by another search.
        first: networks (n, choices) that are evaluated before the strategy proposes any, which it is told of. Where
            it begins with random ones, it proposes so many fewer of those; one that transforms networks begins with
            these alone.
        executor: where evaluations run; the outcome is the same wherever they do.
        ahead: asks by which the strategy is always ahead of what it was told, so that no worker waits for the last
            evaluation of each ask. The outcome depends on it.

    Raises:
        InputError: there is no budget, or an option is none of its kind; the evaluator lacks a metric; one metric has
            two limits or is an objective twice; one name stands for two costs, or for what a journal says beside
            them; the strategy cannot serve so many objectives, such a space, or be ahead; or one of the first networks
            is not in the region.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        strategy: Strategy,
        objectives: Sequence[Objective],
        region: FeasibleRegion,
        *,
        limits: Sequence[Limit] = (),
        budget: int,
        seed: int,
        journal: Path | None = None,
        belongs_to: Mapping[str, Any] | None = None,
        first: Population | None = None,
        executor: Executor | None = None,
        ahead: int = 0,
    ) -> None:
        options = {"budget": budget, "seed": seed, "journal": journal, "first": first, "ahead": ahead}
        asked = configured(_Asked, "search", {"objectives": objectives, "limits": limits, **options})
        self.costs = _costs(evaluator, asked.objectives, region)
        bounds = {limit.metric: limit.at_most for limit in asked.limits}
        for metric in [*(objective.metric for objective in asked.objectives), *bounds]:
            if metric not in (*evaluator.metrics, *self.costs):
                raise unknown("metric", metric, (*evaluator.metrics, *self.costs))
        if len(bounds) < len(asked.limits):
            raise InputError(
                f"limits {', '.join(f'{one.metric} <= {one.at_most:.4g}' for one in asked.limits)}: give one a metric"
            )
        strategies.require_serves(strategy, asked.objectives)
        strategies.require_searches(strategy, region.space)
        if asked.ahead:
            strategies.require_asynchronous(strategy)
        self.evaluator = evaluator
        self.strategy = strategy
        self.objectives = asked.objectives
        self.region = region
        self.limits = asked.limits
        self.budget = asked.budget
        self.seed = asked.seed
        self.journal = asked.journal
        self.first = _known_first(region, asked.first)
        self.executor = executor or LocalExecutor()
        self.ahead = asked.ahead if strategy.learns else max(asked.ahead, _FREE_LEAD)
        lag = {"ahead": asked.ahead} if asked.ahead else {}
        self.belongs_to = {
            **identity(region, asked.objectives, asked.seed),
            "strategy": strategy.to_json(),
            "metrics": list(evaluator.metrics),
            "limits": bounds,
            **lag,
            **(belongs_to or {}),
        }

    def run(self, *, progress: bool = True) -> History:
        """Search until the budget is spent or no new network is found.

        Raises:
            InputError: the journal is another search's or cannot be written, the last evaluations failed alike, or none
                can come to an end.
        """
        known: dict[bytes, int] = {}
        self.strategy.begin(self.region, self.objectives, self.seed, self.belongs_to)
        asks = self._asks(known)
        untold: deque[tuple[Population, int]] = deque()
        bar = progress_bar(self.budget, "search", "network", show=progress)
        with Recorder(self.journal, self.belongs_to) as recorder, bar, self.executor.serve(self.evaluator) as service:
            in_order = InOrder(self.evaluator, self.costs, service, recorder)
            while True:
                while len(untold) <= self.ahead and (ask := next(asks, None)):
                    asked, fresh = ask
                    in_order.take(fresh)
                    untold.append((asked, len(known)))
                if not untold:
                    break
                asked, n_needed = untold.popleft()
                for n_done in in_order.until(n_needed):
                    bar.update(n_done)
                self._tell(asked, known, recorder)
        rows = np.array(recorder.rows, dtype=np.int64).reshape(-1, len(self.region.space.choices))
        history = History(rows, recorder.metrics())
        self._warn(history)
        return history

    def _warn(self, history: History) -> None:
        """Say what the search is not: as long as was asked for, or one that kept the limits."""
        n = len(history.population)
        if n < self.budget:
            logger.warning(
                "%s has nothing new to propose after %d of %d networks%s",
                type(self.strategy).__name__,
                n,
                self.budget,
                ", and no other was found in the region" if self.strategy.learns else "",
            )
        violations = violations_of(self.limits, history.metrics, n)
        if n and (violations != 0).all():
            nearest = np.argsort(violations)[0]
            logger.warning(
                "none of %d networks keeps %s: the nearest, %s, has %s; raise a limit to that, or search longer",
                n,
                in_words({limit.metric: limit.at_most for limit in self.limits}),
                self.region.space.decode(history.population[[nearest]])[0].id,
                " and ".join(f"{one.metric} {history.metrics[one.metric][nearest]:.4g}" for one in self.limits),
            )

    def _asks(self, known: dict[bytes, int]) -> Iterator[tuple[Population, Population]]:
        """Yield what the strategy asks for, and what of it is new, until the budget is spent; note that as known.

        Random networks take the place of what is stale, until the strategy says something new again.
        """
        stale, proposals = 0, self._proposals()
        unseen = self.region.unseen(known, np.random.default_rng([self.seed, _RANDOM]))
        while len(known) < self.budget:
            asked = next(proposals)
            fresh = asked[distinct(asked, known)]
            stale = 0 if len(fresh) else stale + 1
            if stale > _STALE_ASKS or (not len(asked) and self.strategy.learns):  # it may say more once it knows more
                others = list(islice(unseen, max(_RANDOM, len(asked))))
                asked = fresh = np.array(others, np.int64).reshape(-1, len(self.region.space.choices))
            if not len(asked):
                break
            fresh = fresh[: self.budget - len(known)]
            known |= {row.tobytes(): len(known) + i for i, row in enumerate(fresh)}
            yield asked, fresh

    def _proposals(self) -> Iterator[Population]:
        if len(self.first):
            yield self.first
        while True:
            yield self.strategy.ask()

    def _tell(self, asked: Population, known: Mapping[bytes, int], recorder: Recorder) -> None:
        """Tell the strategy the scores of what it asked for, as far as the budget went."""
        places = [known.get(row.tobytes(), -1) for row in asked]
        told = np.array([place >= 0 for place in places])
        metrics = recorder.metrics([place for place in places if place >= 0])
        violations = violations_of(self.limits, metrics, int(told.sum()))
        if told.any():
            self.strategy.tell(asked[told], scores_of(self.objectives, metrics), violations)


def _costs(evaluator: Evaluator, objectives: Sequence[Objective], region: FeasibleRegion) -> dict[str, CostModel]:
    """Return the cost models of constraints and objectives by the names that their costs are recorded under."""
    named = [(constraint.metric, constraint.model) for constraint in region.constraints]
    named += [cost for objective in objectives for cost in objective.costs.items()]
    costs: dict[str, CostModel] = {}
    for name, model in named:
        if costs.setdefault(name, model) is not model or name in evaluator.metrics:
            raise InputError(
                f"two metrics are called {name}: give a constraint or an objective another name with metric=..."
            )
    for name in (*evaluator.metrics, *costs):
        if name in RESERVED:
            raise InputError(f"a metric is called {name}, as journals call something else: give it another name")
    return costs


def _known_first(region: FeasibleRegion, first: Population | None) -> Population:
    """Return the canonical form of the networks that a search begins with; none if it is told of none."""
    if first is None:
        return region.space.sample(0, np.random.default_rng(0))
    first, n_options = np.asarray(first), region.space.n_options
    if first.shape[1:] != n_options.shape or not np.issubdtype(first.dtype, np.integer):
        raise InputError(
            f"the search cannot begin with {first.dtype} {first.shape}: expected integers (n, {len(n_options)}), the "
            "numbers of options, as the space's `encode` returns them"
        )
    if (there_is_not := ((first < 0) | (first >= n_options)).any(axis=1)).any():
        raise InputError(
            f"the search cannot begin with {first[there_is_not][0].tolist()}: expected numbers of options, from 0 to "
            f"{(n_options - 1).tolist()}"
        )
    first = first.astype(np.int64)
    if not (inside := region.contains(first)).all():
        out = region.space.decode(first[~inside])[0]
        raise InputError(f"the search cannot begin with {out.id}: it exceeds a bound; leave it out, or raise the bound")
    return region.space.canonical(first)
