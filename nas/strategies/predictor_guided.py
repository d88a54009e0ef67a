"""Predictor-guided search: a Gaussian process says which networks would be on the front, and those are evaluated.

Of the kind of BANANAS (White et al., AAAI 2021), but with a Gaussian process on ranks instead of an ensemble of
networks, and with the front of what it expects instead of a single best by sampling.
"""

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.gaussian_process import Encoder, Floats, GaussianProcess
from nas.pareto import Scores, constrained_ranks
from nas.strategy import Strategy
from search_spaces.plan_index import Population, distinct

_ENCODED = 1000
"""So many networks of the region say how features are standardised."""


@dataclass(config={"extra": "forbid"})
class PredictorGuided(Strategy):
    """Proposes what a model of the scores so far expects to be best: for evaluations that are dear, and few.

    Scores are modelled by their ranks, as quantiles of a normal distribution, so that nothing depends on their scale.
    Costs that a cost model predicts are taken as predicted. An evolution on the model finds the candidates.
    """

    multi_objective = True
    for_dear_evaluations = True

    initial: int = Field(default=12, ge=2, description="random networks to begin with")
    batch: int = Field(default=5, ge=1, description="fewest networks proposed at a time")
    growth: float = Field(default=0.1, ge=0, le=1, description="networks proposed at a time, relative to those known")
    optimism: float = Field(
        default=0.0, ge=0, description="standard deviations by which a score may be better than expected"
    )
    candidates: int = Field(default=1000, ge=10, description="networks whose scores are predicted in a generation")
    generations: int = Field(default=5, ge=0, description="generations of the evolution on the model")

    def _begin(self) -> None:
        self._rows = self.region.space.sample(0, self.rng)
        self._scores, self._violations = np.empty((0, len(self.objectives))), np.empty(0)
        self._encode = Encoder(self.region.space, self.region.space.canonical(self.region.sample(_ENCODED, self.rng)))
        self._models = [GaussianProcess() for _ in range(len(self.objectives) + 1)]

    def _ask(self) -> Population:
        n = max(self.batch, round(self.growth * len(self._rows)))
        if len(self._rows) < self.initial or np.isfinite(self._scores[:, 0]).sum() < 2:
            return self.region.sample(max(n, self.initial - len(self._rows)), self.rng)
        self._fit()
        return self._best_candidates(n)

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        rows = np.concatenate([self._rows, population])
        first = distinct(rows)
        self._rows = rows[first]
        self._scores = np.concatenate([self._scores, scores])[first]
        self._violations = np.concatenate([self._violations, violations])[first]

    def _fit(self) -> None:
        """Fit a model to each score that no cost model predicts, and one to the violations if there are any."""
        known = np.isfinite(self._scores).all(axis=1)
        inputs = self._encode(self._rows[known])
        for objective, model, values in zip(self.objectives, self._models, self._scores[known].T, strict=False):
            if objective.model is None:
                model.fit(inputs, _normal_ranks(values), self.rng)
        self._kept_below = np.inf
        if self._violations[known].any():
            ranks, kept = _normal_ranks(self._violations[known]), self._violations[known] == 0
            self._models[-1].fit(inputs, ranks, self.rng)
            self._kept_below = (
                (ranks[kept].max(initial=-np.inf) + ranks[~kept].min()) / 2 if kept.any() else ranks.min()
            )

    def _predict(self, population: Population) -> tuple[Scores, Floats]:
        """Return the scores (N, objectives) and violations (N,) that the models expect."""
        inputs = self._encode(population)
        columns = []
        for objective, model in zip(self.objectives, self._models, strict=False):
            if objective.model is not None:
                columns.append(objective.score({objective.metric: objective.model.predict(population)}))
            elif self.optimism:
                mean, deviation = model.predict(inputs)
                columns.append(mean + self.optimism * deviation)
            else:
                columns.append(model.mean(inputs))
        violations = np.zeros(len(population))
        if np.isfinite(self._kept_below):
            violations = np.maximum(self._models[-1].mean(inputs) - self._kept_below, 0.0)
        return np.stack(columns, axis=1), violations

    def _best_candidates(self, n: int) -> Population:
        """Return the n best of what an evolution on the models finds, without the networks that are known."""
        region, known = self.region, {row.tobytes() for row in self._rows}
        best = np.argsort(constrained_ranks(self._scores, self._violations), kind="stable")[: self.candidates // 4]
        bred = np.concatenate([self._rows[best], region.sample(self.candidates, self.rng)])
        pool, scores, violations = bred[:0], np.empty((0, len(self.objectives))), np.empty(0)
        for _ in range(self.generations + 1):
            bred = region.space.canonical(bred)
            predicted = self._predict(bred)
            pool, scores = np.concatenate([pool, bred]), np.concatenate([scores, predicted[0]])
            violations = np.concatenate([violations, predicted[1]])
            first = distinct(pool)
            first = first[np.argsort(constrained_ranks(scores[first], violations[first]), kind="stable")]
            first = first[: max(self.candidates, len(known) + n)]
            pool, scores, violations = pool[first], scores[first], violations[first]
            self._parents = pool[: max(10, self.candidates // 10)]
            bred = region.breed(self.candidates, self._children, self.rng)
        new = self._of_new_functions(pool, known, n)
        pool, scores, violations = pool[new], scores[new], violations[new]
        return pool[_spread(scores, constrained_ranks(scores, violations), n)]

    def _of_new_functions(self, pool: Population, known: set[bytes], n: int) -> NDArray[np.int64]:
        """Return the indices of unknown networks, one of each function; of known functions only if n are not left."""
        unknown = np.flatnonzero([row.tobytes() not in known for row in pool])
        functions = self.region.space.active(pool[unknown])
        first = distinct(functions)
        evaluated = {row.tobytes() for row in self.region.space.active(self._rows)}
        new = unknown[[i for i in first.tolist() if functions[i].tobytes() not in evaluated]]
        return new if len(new) >= n else unknown

    def _children(self, n: int) -> Population:
        space = self.region.space
        mothers, fathers = self._parents[self.rng.integers(len(self._parents), size=(2, n))]
        crossed = self.rng.random((n, 1)) < 0.5
        return np.where(crossed, space.crossover(mothers, fathers, self.rng), space.step(mothers, self.rng))


def _normal_ranks(values: Floats) -> Floats:
    """Return the quantiles of a normal distribution that the ranks of values (N,) are at; equal for equal values."""
    quantiles: Floats = scipy.stats.norm.ppf((scipy.stats.rankdata(values) - 0.5) / len(values))
    return quantiles


def _spread(scores: Scores, ranks: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the indices of n rows: whole fronts first, then some along the next one, evenly."""
    chosen: list[NDArray[np.int64]] = []
    for rank in np.unique(ranks):
        members = np.flatnonzero(ranks == rank)
        members = members[np.argsort(-scores[members, 0], kind="stable")]
        if len(members) > n:
            members = members[np.linspace(0, len(members) - 1, n).round().astype(int)]
        chosen.append(members)
        n -= len(members)
        if n <= 0:
            break
    return np.concatenate([*chosen, np.empty(0, np.int64)]).astype(np.int64)
