"""Once-for-All's evolutionary search under a hard constraint (Cai et al., ICLR 2020)."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.pareto import Scores
from nas.strategy import Strategy, best_first
from search_spaces.plan_index import Population, distinct


@dataclass(config={"extra": "forbid"})
class OFAEvolution(Strategy):
    """Keeps the best quarter; half of the children are mutants and half crossovers, drawn until they are feasible."""

    asynchronous = True

    population: int = Field(default=100, ge=4, description="networks a generation")
    parents: float = Field(default=0.25, gt=0, le=1, description="share of a generation that has children")
    mutants: float = Field(default=0.5, ge=0, le=1, description="share of the children that are mutants")
    mutation: float = Field(default=0.1, gt=0, le=1, description="probability that a mutant draws a choice anew")

    def _begin(self) -> None:
        self._rows = self.region.space.sample(0, self.rng)
        self._scores, self._violations = np.empty((0, 1)), np.empty(0)
        self._n_told = 0  # those that the search began with among them

    def _ask(self) -> Population:
        if (missing := self.population - self._n_told) > 0:
            return self.region.sample(missing, self.rng)
        space, n_mutants = self.region.space, round(self.mutants * self.population)
        mutants = self.region.breed(
            n_mutants, lambda n: space.mutate(self._parents(n), self.mutation, self.rng), self.rng
        )
        crossed = self.region.breed(
            self.population - n_mutants,
            lambda n: space.crossover(self._parents(n), self._parents(n), self.rng),
            self.rng,
        )
        return np.concatenate([mutants, crossed])

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        self._n_told += len(population)
        rows = np.concatenate([self._rows, population])
        scores = np.concatenate([self._scores, scores])
        violations = np.concatenate([self._violations, violations])
        first = distinct(rows)  # a network told twice must not crowd out others
        n_kept = max(1, round(self.parents * self.population))
        best = first[best_first(scores[first], violations[first])][:n_kept]
        self._rows, self._scores, self._violations = rows[best], scores[best], violations[best]

    def _parents(self, n: int) -> Population:
        return self._rows[self.rng.integers(len(self._rows), size=n)]
