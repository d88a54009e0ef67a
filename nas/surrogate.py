"""What strategies share that learn a model of the scores: what is known, and scores as a model is to see them."""

import numpy as np
import scipy
from numpy.typing import NDArray

from nas.gaussian_process import Encoder, Floats
from nas.pareto import Scores
from nas.strategy import Strategy
from search_spaces.plan_index import Population, distinct

_ENCODED = 1000
"""So many networks of the region say how features are standardised."""

_DRAWN = 10
"""So many times as many networks are drawn as are wanted: in a small region most are known."""

_LARGEST = 1e100
"""Of the scores that a model sees: it squares them."""


class SurrogateStrategy(Strategy):
    """Remembers all evaluations and proposes what a model that is fitted to them says.

    Costs that a cost model predicts are taken as predicted, so that only other scores are modelled.

    Attributes of what `_see` saw last, for the N evaluations that did not fail:
        _inputs: the networks.
        _scales: from scores to what a model sees, one an objective.
        _seen: the scores on those scales, (N, objectives).
        _kept: whether the limits are kept, (N,).
        _violation_ranks: of the violations, from 0 to 1, (N,).
        _kept_below: the rank that parts networks that keep the limits from others; infinite if all do.
    """

    multi_objective = True
    for_dear_evaluations = True

    def _start(self) -> None:
        """Set up the model; nothing is known yet."""

    def _begin(self) -> None:
        self._rows = self.region.space.sample(0, self.rng)
        self._scores, self._violations = np.empty((0, len(self.objectives))), np.empty(0)
        self._known: set[bytes] = set()
        self._encode = Encoder(self.region.space, self.region.space.canonical(self.region.sample(_ENCODED, self.rng)))
        self._start()

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        new = distinct(population, self._known)
        self._rows = np.concatenate([self._rows, population[new]])
        self._scores = np.concatenate([self._scores, scores[new]])
        self._violations = np.concatenate([self._violations, violations[new]])
        self._known.update(row.tobytes() for row in population[new])

    def _unknown(self, population: Population) -> Population:
        """Return the distinct networks that keep the constraints and were not evaluated, in canonical form."""
        return self.region.new(population, self._known)

    def _random(self, n: int) -> Population:
        """Return at most n random networks that were not evaluated."""
        return self._unknown(self.region.sample(_DRAWN * n, self.rng))[:n]

    def _succeeded(self) -> NDArray[np.bool_]:
        """Return (N,): which of the evaluations did not fail."""
        return np.asarray(np.isfinite(self._scores).all(axis=1))

    def _see(self) -> None:
        """See what is known as a model is to see it: without failures, scores on their scales, violations as ranks."""
        succeeded = self._succeeded()
        scores, violations = self._scores[succeeded], self._violations[succeeded]
        self._inputs = self._encode(self._rows[succeeded])
        columns = list(zip(self.objectives, scores.T, strict=True))
        self._scales = [Warp(column, relative=not objective.maximise) for objective, column in columns]
        self._seen = np.stack([warp(column) for warp, (_, column) in zip(self._scales, columns, strict=True)], axis=1)
        self._kept = violations == 0
        _, places, quantiles = _quantiles(violations)
        self._violation_ranks = ranks = quantiles[places]
        within, beyond = ranks[self._kept], ranks[~self._kept]
        self._kept_below = (within.max(initial=0.0) + beyond.min(initial=np.inf)) / 2

    def _predicted_costs(self, population: Population) -> dict[int, Floats]:
        """Return the scores (N,) of the objectives that cost models predict, by the number of the objective."""
        return {
            i: objective.score({objective.metric: objective.model.predict(population)})
            for i, objective in enumerate(self.objectives)
            if objective.model is not None
        }


class Warp:
    """Scores in a scale in which the better half is as it was and the worse half no wider than a normal distribution's.

    Networks that do not work at all, such as cells whose input reaches no output, would otherwise decide what a model
    takes for a large difference. The better half is measured by its deviation from the median, the worse half by its
    ranks (Song et al., The Vizier Gaussian Process Bandit Algorithm, 2024).

    Args:
        scores: known ones, (N,), finite.
        relative: whether they are costs, of which ratios count: their logarithms are seen, if none is 0.
    """

    def __init__(self, scores: Floats, *, relative: bool = False) -> None:
        self._relative = relative and bool((scores < 0).all())
        scores = self._levels(scores)
        self._median = np.median(scores)
        better = scores[scores >= self._median] - self._median
        self._deviation = np.sqrt((better**2).mean()) or 1.0
        self._known, _, quantiles = _quantiles(scores)
        normal = np.minimum(scipy.special.ndtri(quantiles), 0.0)
        self._warped = np.where(self._known < self._median, normal, self._linear(self._known))

    def __call__(self, scores: Floats) -> Floats:
        """Return scores (N,) in the new scale, known or not."""
        scores = self._levels(scores)
        below = np.interp(scores, self._known, self._warped)
        return np.where(scores < self._median, below, self._linear(scores))

    def _levels(self, scores: Floats) -> Floats:
        scores = np.clip(scores, -_LARGEST, -1 / _LARGEST if self._relative else _LARGEST)
        return -np.log(-scores) if self._relative else scores

    def _linear(self, scores: Floats) -> Floats:
        return np.asarray((scores - self._median) / self._deviation)


def _quantiles(values: Floats) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Return the distinct values, ascending, where each value (N,) is among them, and at which quantiles they are."""
    distinct_values, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return distinct_values, places, (np.cumsum(counts) - counts / 2) / max(1, len(values))
