"""The contract of search strategies: they propose populations and are told scores, and see nothing else."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from nas.objectives import FeasibleRegion
from search_spaces.plan_index import Population


class Strategy(ABC):
    """Proposes networks and learns from their scores.

    A subclass is a dataclass of its options; what a search gives it arrives by `begin`. It draws random numbers from
    `rng` alone, so that the same seed and the same scores give the same proposals.
    """

    region: FeasibleRegion
    rng: np.random.Generator

    def begin(self, region: FeasibleRegion, seed: int) -> None:
        """Start anew on a region of a space."""
        self.region = region
        self.rng = np.random.default_rng(seed)
        self._begin()

    def ask(self) -> Population:
        """Return the next networks to evaluate, canonical and feasible, (N, choices); none when there are no more."""
        return self.region.space.canonical(self._ask())

    def tell(self, population: Population, scores: NDArray[np.float64]) -> None:
        """Take note of scores (N,), higher is better; NaN, an evaluation that failed, counts as the worst."""
        self._tell(population, np.where(np.isnan(scores), -np.inf, scores))

    def _begin(self) -> None:  # noqa: B027  # a strategy without state has nothing to set up
        """Set up the state; the region and the random numbers are there."""

    @abstractmethod
    def _ask(self) -> Population: ...

    @abstractmethod
    def _tell(self, population: Population, scores: NDArray[np.float64]) -> None: ...


class Proposed(Strategy):
    """Proposes given networks (N, choices), once: chosen elsewhere, to be evaluated like the rest."""

    def __init__(self, population: Population) -> None:
        self._waiting = population

    def _ask(self) -> Population:
        asked, self._waiting = self._waiting, self._waiting[:0]
        return asked

    def _tell(self, population: Population, scores: NDArray[np.float64]) -> None:
        pass
