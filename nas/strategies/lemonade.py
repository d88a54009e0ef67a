"""LEMONADE, evolution where cheap objectives say which networks have children (Elsken et al., ICLR 2019)."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.pareto import Scores, constrained_ranks
from nas.strategy import Strategy
from search_spaces.plan_index import Population, distinct

_BARELY = 1e-9
"""A density that is added everywhere, so that no place is infinitely empty."""


@dataclass(config={"extra": "forbid"})
class LEMONADE(Strategy):
    """The front has children; few are proposed, and evaluated, where others of the front cost the same.

    Cheap objectives are those that a cost model predicts. A parent is drawn, and among its children those that are
    proposed, with a probability inverse to the density of the front at their costs; without a cheap objective all are
    equally likely. A child is some steps from its parent, of one choice each. Elsken's children inherit the weights of
    their parents: that is for the evaluator to do, as `nas.evaluation.inherited` does.
    """

    multi_objective = True

    initial: int = Field(
        default=10, ge=1, description="random networks to begin with, unless the search is given its first ones"
    )
    batch: int = Field(default=10, ge=1, description="children proposed at a time")
    candidates: int = Field(default=5, ge=1, description="so many times as many children have their costs predicted")
    steps: int = Field(default=3, ge=1, description="most steps from a parent to a child")

    def _begin(self) -> None:
        self._front = self.region.space.sample(0, self.rng)
        self._scores, self._violations = np.empty((0, len(self.objectives))), np.empty(0)

    def _ask(self) -> Population:
        if not len(self._front):
            return self.region.sample(self.initial, self.rng)
        self._costs = self._cheap(self._front)
        weights = self._emptiness(self._costs)
        self._parenthood = weights / weights.sum()
        children = self.region.breed(self.candidates * self.batch, self._children, self.rng)
        children = self.region.space.canonical(children)
        children = children[distinct(children)]
        weights = self._emptiness(self._cheap(children))
        n = min(self.batch, len(children))
        return children[self.rng.choice(len(children), n, replace=False, p=weights / weights.sum())]

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        rows = np.concatenate([self._front, population])
        scores = np.concatenate([self._scores, scores])
        violations = np.concatenate([self._violations, violations])
        first = distinct(rows)
        first = first[np.isfinite(scores[first]).all(axis=1)]
        best = first[constrained_ranks(scores[first], violations[first]) == 0]
        self._front, self._scores, self._violations = rows[best], scores[best], violations[best]

    def _children(self, n: int) -> Population:
        space = self.region.space
        children = self._front[self.rng.choice(len(self._front), n, p=self._parenthood)]
        wanted = self.rng.integers(1, self.steps + 1, size=(n, 1))
        for step in range(self.steps):
            children = np.where(step < wanted, space.step(children, self.rng), children)
        return children

    def _cheap(self, population: Population) -> NDArray[np.float64]:
        """Return the predicted costs (N, cheap objectives)."""
        models = [objective.model for objective in self.objectives if objective.model is not None]
        return np.array([model.predict(population) for model in models]).T.reshape(len(population), len(models))

    def _emptiness(self, costs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N,): the inverse of the front's density at some costs (N, cheap objectives).

        The density is that of normal distributions about each cost of the front, as wide as Scott's rule says. Where
        the front has but one cost, how far from it the others are stands for the deviation, whatever their unit.
        """
        n, n_costs = self._costs.shape
        from_one = np.sqrt(np.square(costs - self._costs[0]).mean(axis=0))
        deviations = np.where(np.ptp(self._costs, axis=0) > 0, self._costs.std(axis=0), from_one)
        width = np.where(deviations > 0, deviations, 1.0) * n ** (-1 / (n_costs + 4))  # 0: nothing is any distance away
        distances = (costs[:, None] - self._costs) / width  # (N, front, cheap objectives)
        return np.asarray(1 / (np.exp(-0.5 * np.square(distances).sum(axis=2)).mean(axis=1) + _BARELY))
