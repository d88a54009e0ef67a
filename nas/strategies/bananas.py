"""BANANAS: an ensemble of perceptrons, and of its guesses the best (White et al., AAAI 2021)."""

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.pareto import best_spread
from nas.perceptrons import PerceptronStrategy
from search_spaces.plan_index import Population


@dataclass(config={"extra": "forbid"})
class Bananas(PerceptronStrategy):
    """Proposes those of many mutants of the best that are best by independent Thompson sampling.

    Each mutant has scores drawn by the mean and the deviation of the ensemble there. With several objectives, the best
    are those of the first fronts, and in a front those that are alone.
    """

    initial: int = Field(default=10, ge=2, description="random networks to begin with")
    batch: int = Field(default=10, ge=1, description="networks proposed at a time")
    parents: int = Field(default=20, ge=1, description="of the best known networks, that have mutants")
    mutants: int = Field(default=500, ge=10, description="networks that are looked at")

    def _ask(self) -> Population:
        missing = self.initial - len(self._rows)
        if missing > 0 or self._succeeded().sum() < 2:
            return self._random(max(self.batch, missing))
        self._parents = self._rows[best_spread(self._scores, self._violations)[: self.parents]]
        bred = self._unknown(self.region.breed(self.mutants, self._children, self.rng))
        if len(bred) < self.batch:
            bred = self._unknown(np.concatenate([bred, self._random(self.batch)]))
        if not len(bred):
            return bred
        means, deviations, violations = self._guess(bred)
        guessed = means + deviations * self.rng.normal(size=means.shape)
        return bred[best_spread(guessed, violations)[: self.batch]]

    def _children(self, n: int) -> Population:
        parents = self._parents[self.rng.integers(len(self._parents), size=n)]
        return self.region.space.step(parents, self.rng)
