"""Progressive neural architecture search: from simple networks to complex ones (Liu et al., ECCV 2018)."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.pareto import Scores, best_spread
from nas.perceptrons import PerceptronStrategy
from search_spaces.plan_index import Population


@dataclass(config={"extra": "forbid"})
class PNAS(PerceptronStrategy):
    """Grows the best networks by one decision at a time, those that a model of all simpler ones ranks first.

    The paper adds a block to a cell. In a space of choices, a network is as complex as many choices differ from the
    space's smallest network: level 1 are its neighbours, and every further level decides one more choice of the best
    of the level before. Where constraints leave the smallest network out, a random one of the region takes its place.
    Behind the last level any choice of the best may change once more. Networks that a search begins with take the
    smallest one's place, which is not proposed then: level 1 are their neighbours that differ from it in more choices.
    """

    batch: int = Field(default=20, ge=2, description="networks of each level that are evaluated")

    def _start(self) -> None:
        self._origin = self.region.space.canonical(self.region.origin(self.rng))
        self._level, self._n_decided = self._origin, 0

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        super()._tell(population, scores, violations)
        self._level, self._n_decided = population, self._n_decided + 1

    def _ask(self) -> Population:
        if not len(self._rows):
            return self._origin
        grown = self._grown() if self._n_decided <= len(self.region.space.choices) else self._rows[:0]
        if len(grown) < self.batch:
            best = self._rows[best_spread(self._scores, self._violations)[: self.batch]]
            grown = self._unknown(np.concatenate([grown, self._neighbours(best), self._random(self.batch)]))
        if len(grown) <= self.batch or self._succeeded().sum() < 2:
            return self.rng.permutation(grown)[: self.batch]
        means, _, violations = self._guess(grown)
        return grown[best_spread(means, violations)[: self.batch]]

    def _grown(self) -> Population:
        """Return the unknown networks that decide one choice more than one of the last level."""
        neighbours = self._neighbours(self._level)
        before = np.repeat(self._complexity(self._level), (self.region.space.n_options - 1).sum())
        return self._unknown(neighbours[self._complexity(neighbours) > before])

    def _neighbours(self, population: Population) -> Population:
        rows = [self.region.space.neighbours(row) for row in population]
        return np.concatenate([self._rows[:0], *rows])

    def _complexity(self, population: Population) -> NDArray[np.int64]:
        return np.asarray((self.region.space.canonical(population) != self._origin).sum(axis=1))
