"""Local search (White et al., UAI 2021), with several objectives Pareto local search (Paquete et al., 2004)."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.pareto import ParetoArchive, Scores
from nas.strategy import Strategy
from search_spaces.plan_index import Population

_DRAWN = 10
"""So many times as many networks are drawn as a climb begins from: in a small region most are known."""


@dataclass(config={"extra": "forbid"})
class LocalSearch(Strategy):
    """Proposes all networks that differ in one choice from one that none of its climb dominates.

    Where all of their neighbours are known, the next climb begins at random networks.
    """

    multi_objective = True

    initial: int = Field(default=10, ge=1, description="random networks that a climb begins from")
    batch: int = Field(default=10, ge=1, description="neighbours proposed at a time")

    def _begin(self) -> None:
        self._waiting = self.region.space.sample(0, self.rng)
        self._known: set[bytes] = set()
        self._start_climb()

    def _start_climb(self) -> None:
        self._archive = ParetoArchive(len(self.region.space.choices), len(self.objectives))
        self._explored: set[bytes] = set()

    def _ask(self) -> Population:
        if not len(self._waiting):
            self._waiting = self._next_neighbours()
        asked, self._waiting = self._waiting[: self.batch], self._waiting[self.batch :]
        return asked

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        self._known.update(row.tobytes() for row in population)
        kept = violations == 0
        n_before, best_before = len(self._archive.scores), self._archive.scores
        self._archive.add(population[kept], scores[kept])
        if len(self._archive.scores) != n_before or not np.array_equal(self._archive.scores, best_before):
            self._waiting = self._waiting[:0]  # the climb goes on from what is better

    def _next_neighbours(self) -> Population:
        """Return unknown neighbours of an unexplored member of the front, or random networks to start anew from."""
        open_members = [row for row in self._archive.population if row.tobytes() not in self._explored]
        for i in self.rng.permutation(len(open_members)):
            neighbours = self.region.new(self.region.space.neighbours(open_members[i]), self._known)
            if len(neighbours):
                return self.rng.permutation(neighbours)
            self._explored.add(open_members[i].tobytes())
        self._start_climb()
        drawn = self.region.sample(_DRAWN * self.initial, self.rng)
        unknown = self.region.new(drawn, self._known)
        return (unknown if len(unknown) else drawn)[: self.initial]  # nothing at all would end the search
