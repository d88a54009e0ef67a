"""Regularized evolution, which lets the oldest die (Real et al., AAAI 2019)."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.pareto import Scores, constrained_ranks
from nas.strategy import Strategy
from search_spaces.plan_index import Population


@dataclass(config={"extra": "forbid"})
class RegularizedEvolution(Strategy):
    """The best of a random sample of the living has a child that differs in one choice; the oldest make room.

    With several objectives the best is one of the sample that the fewest fronts dominate.
    """

    multi_objective = True
    asynchronous = True

    population: int = Field(default=50, ge=2, description="networks alive")
    sample: int = Field(default=10, ge=1, description="networks that compete to be a parent")
    batch: int = Field(default=10, ge=1, description="children proposed at a time")

    def _begin(self) -> None:
        self._rows = self.region.space.sample(0, self.rng)
        self._scores, self._violations = np.empty((0, len(self.objectives))), np.empty(0)

    def _ask(self) -> Population:
        if len(self._rows) < self.population:
            return self.region.sample(min(self.batch, self.population - len(self._rows)), self.rng)
        self._ranks = constrained_ranks(self._scores, self._violations)
        return self.region.breed(self.batch, self._children, self.rng)

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        self._rows = np.concatenate([self._rows, population])[-self.population :]
        self._scores = np.concatenate([self._scores, scores])[-self.population :]
        self._violations = np.concatenate([self._violations, violations])[-self.population :]

    def _children(self, n: int) -> Population:
        competing = self.rng.integers(len(self._rows), size=(n, self.sample))
        winners = competing[np.arange(n), self._ranks[competing].argmin(axis=1)]
        return self.region.space.step(self._rows[winners], self.rng)
