"""Once-for-All's evolutionary search under a hard constraint (Cai et al., ICLR 2020)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.pareto import Scores
from nas.strategy import Strategy, best_first
from search_spaces.plan_index import Population

_ATTEMPTS = 20


@dataclass(config={"extra": "forbid"})
class OFAEvolution(Strategy):
    """Keeps the best quarter; half of the children are mutants and half crossovers, drawn until they are feasible."""

    population: int = Field(default=100, ge=4, description="networks a generation")
    parents: float = Field(default=0.25, gt=0, le=1, description="share of a generation that has children")
    mutants: float = Field(default=0.5, ge=0, le=1, description="share of the children that are mutants")
    mutation: float = Field(default=0.1, gt=0, le=1, description="probability that a mutant draws a choice anew")

    def _begin(self) -> None:
        self._rows = self.region.space.sample(0, self.rng)
        self._scores, self._violations = np.empty((0, 1)), np.empty(0)

    def _ask(self) -> Population:
        if not len(self._rows):
            return self.region.sample(self.population, self.rng)
        space, n_mutants = self.region.space, round(self.mutants * self.population)
        mutants = self._feasible(n_mutants, lambda n: space.mutate(self._parents(n), self.mutation, self.rng))
        crossed = self._feasible(
            self.population - n_mutants, lambda n: space.crossover(self._parents(n), self._parents(n), self.rng)
        )
        return np.concatenate([mutants, crossed])

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        rows = np.concatenate([self._rows, population])
        scores = np.concatenate([self._scores, scores])
        violations = np.concatenate([self._violations, violations])
        _, first = np.unique(rows, axis=0, return_index=True)  # a network told twice must not crowd out others
        first.sort()
        n_kept = max(1, round(self.parents * self.population))
        best = first[best_first(scores[first], violations[first])][:n_kept]
        self._rows, self._scores, self._violations = rows[best], scores[best], violations[best]

    def _parents(self, n: int) -> Population:
        return self._rows[self.rng.integers(len(self._rows), size=n)]

    def _feasible(self, n: int, breed: Callable[[int], Population]) -> Population:
        """Return n feasible children; what a bounded number of attempts does not give is drawn from the region."""
        children = self._rows[:0]
        for _ in range(_ATTEMPTS):
            brood = breed(2 * (n - len(children)))
            children = np.concatenate([children, brood[self.region.contains(brood)]])[:n]
            if len(children) == n:
                return children
        return np.concatenate([children, self.region.sample(n - len(children), self.rng)])
