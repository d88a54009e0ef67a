"""Tabular Q-learning of the choices one after the other (MetaQNN; Baker et al., ICLR 2017)."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.reinforcement import PolicyStrategy
from search_spaces.plan_index import Population


@dataclass(config={"extra": "forbid"})
class QLearning(PolicyStrategy):
    """A state is a choice and the option taken before it; the reward comes at the end, and networks are replayed.

    With the probability epsilon, which falls from 1 step by step, an option is drawn at random instead of the best.
    What MetaQNN looks ahead to, the best value of the next state, is soon as high after every option, unless networks
    are evaluated by the thousand; so most of the target is the reward itself: Q(lambda) of Peng and Williams
    (Machine Learning, 1996), which at a trace of 0 is MetaQNN's.
    """

    batch: int = Field(default=10, ge=1, description="networks proposed at a time")
    learning_rate: float = Field(default=0.1, gt=0, le=1, description="share of a value that an update replaces")
    replays: int = Field(default=100, ge=1, description="networks that are learned from at a time, among all known")
    trace: float = Field(default=0.9, ge=0, le=1, description="lambda: share of the reward itself in a value's target")
    exploration: int = Field(default=150, ge=1, description="networks until epsilon has fallen to its lowest")
    lowest: float = Field(default=0.1, gt=0, le=1, description="the lowest epsilon")

    def _start(self) -> None:
        n_options = [int(n) for n in self.region.space.n_options]
        before = [1, *n_options[:-1]]
        # between the worst reward and the best, as MetaQNN begins
        self._values = [np.full(shape, 0.5) for shape in zip(before, n_options, strict=True)]
        self._rows = self.region.space.sample(0, self.rng)
        self._rewards = np.empty(0)

    def _draw(self, n: int) -> Population:
        n_known = len(self._known)
        epsilon = max(self.lowest, 1 - (1 - self.lowest) * n_known / self.exploration)
        rows = np.empty((n, len(self._values)), np.int64)
        before = np.zeros(n, np.int64)
        for choice, values in enumerate(self._values):
            # equal values, as at the beginning, are told apart at random
            best = np.argmax(values[before] + 1e-9 * self.rng.random((n, values.shape[1])), axis=1)
            random = self.rng.integers(values.shape[1], size=n)
            before = np.where(self.rng.random(n) < epsilon, random, best)
            rows[:, choice] = before
        return rows

    def _learn(self, rows: Population, rewards: NDArray[np.float64]) -> None:
        self._rows = np.concatenate([self._rows, rows])[-_REPLAYED:]
        self._rewards = np.concatenate([self._rewards, rewards])[-_REPLAYED:]
        for i in self.rng.integers(len(self._rows), size=self.replays):
            target = self._rewards[i]
            for choice in reversed(range(len(self._values))):
                state = self._rows[i, choice - 1] if choice else 0
                values = self._values[choice]
                taken = state, self._rows[i, choice]
                values[taken] += self.learning_rate * (target - values[taken])
                target = self.trace * target + (1 - self.trace) * values[state].max()


_REPLAYED = 1000
"""The networks known last are replayed: rewards of older ones were shares of other scores."""
