"""NSGA-II, the elitist non-dominated sorting genetic algorithm (Deb et al., IEEE Trans. Evol. Computation 2002)."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.pareto import Scores, best_spread
from nas.strategy import Strategy
from search_spaces.plan_index import Population, distinct


@dataclass(config={"extra": "forbid"})
class NSGA2(Strategy):
    """Parents win tournaments of two by front, then by crowding; the best of parents and children live on.

    A network that exceeds the limits less is preferred to one that exceeds them more, whatever their scores.
    """

    multi_objective = True
    asynchronous = True

    population: int = Field(default=50, ge=2, description="networks that live on, and children a generation")
    crossover: float = Field(default=0.9, ge=0, le=1, description="probability that a child has two parents")
    mutants: float = Field(default=1.0, gt=0, description="choices of a child that are drawn anew, on average")

    def _begin(self) -> None:
        self._rows = self.region.space.sample(0, self.rng)
        self._scores, self._violations = np.empty((0, len(self.objectives))), np.empty(0)
        self._n_told = 0  # those that the search began with among them

    def _ask(self) -> Population:
        if (missing := self.population - self._n_told) > 0:
            return self.region.sample(missing, self.rng)
        return self.region.breed(self.population, self._children, self.rng)

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        self._n_told += len(population)
        rows = np.concatenate([self._rows, population])
        first = distinct(rows)
        rows, scores = rows[first], np.concatenate([self._scores, scores])[first]
        violations = np.concatenate([self._violations, violations])[first]
        best = best_spread(scores, violations)[: self.population]
        self._rows, self._scores, self._violations = rows[best], scores[best], violations[best]

    def _children(self, n: int) -> Population:
        space = self.region.space
        mothers, fathers = self._parents(n), self._parents(n)
        crossed = self.rng.random((n, 1)) < self.crossover
        children = np.where(crossed, space.crossover(mothers, fathers, self.rng), mothers)
        return space.mutate(children, min(1.0, self.mutants / len(space.choices)), self.rng)

    def _parents(self, n: int) -> Population:
        """Return the winners of n tournaments: those that live on are in order, so that the lower number wins."""
        winners = self.rng.integers(len(self._rows), size=(2, n)).min(axis=0)
        return np.asarray(self._rows[winners])
