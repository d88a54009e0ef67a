"""What strategies that learn a policy share: proposals of the region, and rewards that know no scale."""

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from nas.objectives import FeasibleRegion
from nas.pareto import Scores
from nas.strategy import Strategy, best_first
from search_spaces.plan_index import Population

_REMEMBERED = 1000
_DRAWN = 10
"""So many times as many networks are drawn as are wanted where the policy has nothing new: most may be known."""


def draw_within(
    region: FeasibleRegion, n: int, draw: Callable[[int], Population], rng: np.random.Generator
) -> tuple[Population, NDArray[np.bool_]]:
    """Return n networks of a region (n, choices), and which of them (n,) a policy drew.

    The others stand in for what it drew outside of the region: a gradient of the policy's does not hold for them.

    Args:
        region: the networks that may be proposed.
        n: how many.
        draw: returns so many networks of the policy, in the region or not.
        rng: draws the others.
    """
    drawn: set[bytes] = set()

    def draw_and_note(m: int) -> Population:
        rows = draw(m)
        drawn.update(row.tobytes() for row in rows)
        return rows

    rows = region.breed(n, draw_and_note, rng)
    return rows, np.array([row.tobytes() in drawn for row in rows], bool)


class PolicyStrategy(Strategy):
    """Draws networks by a policy and raises the probability of the good ones.

    The reward of a network is the share of the last 1000 scores that its own is above, 0 to 1, so that a learning rate
    serves accuracies and losses alike. Networks of the policy that are not in the region are drawn again. Where a
    policy proposes nothing new, random networks are explored beside it; if they are known, too, the search ends.
    """

    batch: int

    @abstractmethod
    def _start(self) -> None:
        """Begin with a policy that knows nothing."""

    @abstractmethod
    def _draw(self, n: int) -> Population:
        """Return n networks (n, choices) drawn by the policy, in the region or not."""

    @abstractmethod
    def _learn(self, rows: Population, rewards: NDArray[np.float64]) -> None:
        """Improve the policy by networks (n, choices), as it drew those that it drew, and their rewards (n,)."""

    def _begin(self) -> None:
        self._known: set[bytes] = set()
        self._drawn: dict[bytes, NDArray[np.int64]] = {}
        self._own: set[bytes] = set()
        self._scores, self._violations = np.empty((0, 1)), np.empty(0)
        self._start()

    def _ask(self) -> Population:
        rows, is_own = draw_within(self.region, self.batch, self._draw, self.rng)
        self._own = {row.tobytes() for row in rows[is_own]}
        canonical = self.region.space.canonical(rows)
        # what the policy took, where a choice that changes nothing has another option in canonical form
        self._drawn = {key.tobytes(): row for key, row in zip(canonical, rows, strict=True)}
        if any(key not in self._known for key in self._drawn):
            return canonical
        unknown = self.region.new(self.region.sample(_DRAWN * self.batch, self.rng), self._known)[: self.batch]
        return np.concatenate([canonical, unknown]) if len(unknown) else unknown  # of nothing new there is no end

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        if not len(population):
            return
        keys = [row.tobytes() for row in population]
        self._known.update(keys)
        self._scores = np.concatenate([self._scores, scores])[-_REMEMBERED:]
        self._violations = np.concatenate([self._violations, violations])[-_REMEMBERED:]
        told = slice(max(0, len(population) - _REMEMBERED), None)
        rows = np.array([self._drawn.get(key, row) for key, row in zip(keys, population, strict=True)])[told]
        self._learn(rows, _rewards(self._scores, self._violations)[-len(rows) :])


def _rewards(scores: Scores, violations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n,): the share of the others that each is better than, equal ones counting half."""
    order = best_first(scores, violations)
    ordered = np.column_stack([violations, -scores[:, 0]])[order]
    group = np.concatenate([[0], (ordered[1:] != ordered[:-1]).any(axis=1).cumsum()])
    place = np.arange(len(order), dtype=float)
    mean_place = np.bincount(group, place) / np.bincount(group)
    rewards = np.empty(len(order))
    rewards[order] = 1 - (mean_place[group] + 0.5) / len(order)
    return rewards


class Baseline(nn.Module):
    """A moving average of rewards, which those of a step are compared with before it moves towards them.

    Were it to move first, rewards would be compared with a part of themselves, which biases the gradient.

    Args:
        memory: share that a step leaves as it is.
        start: the average at first; None: the mean of the first rewards.
    """

    average: Tensor

    def __init__(self, memory: float, start: float | None = None) -> None:
        super().__init__()
        self.memory = memory
        self.register_buffer("average", torch.tensor(torch.nan if start is None else start))

    def advantages(self, rewards: Tensor) -> Tensor:
        """Return by how much rewards (N,) are above the average, then move it."""
        before = rewards.mean() if self.average.isnan() else self.average.clone()
        self.average.copy_(self.memory * before + (1 - self.memory) * rewards.mean())
        return rewards - before


@dataclass(config={"extra": "forbid"})
class PolicyGradient(PolicyStrategy):
    """What strategies share that follow a gradient: the steps, and a moving average of rewards as the baseline.

    It is the gradient of what the policy draws: random networks that are explored or that stand in for some outside of
    the region, and those that a search begins with, give others' rewards their scale, but none of their own.
    """

    batch: int = Field(default=10, ge=1, description="networks a step")
    learning_rate: float = Field(default=0.02, gt=0, description="of Adam")
    entropy: float = Field(default=0.01, ge=0, description="weight of the policy's entropy beside the reward")
    memory: float = Field(default=0.9, ge=0, lt=1, description="share of the baseline that a step leaves as it is")

    def _follow(self, policy: nn.Module) -> None:
        """Begin with a policy whose parameters the steps change."""
        self._optimizer = torch.optim.Adam(policy.parameters(), self.learning_rate)
        self._baseline = Baseline(self.memory, start=0.5)  # the mean of shares from 0 to 1

    @abstractmethod
    def _learn_own(self, rows: Population, advantages: Tensor) -> None:
        """Improve the policy by networks that it drew (n, choices), better than usual by their advantages (n,)."""

    def _learn(self, rows: Population, rewards: NDArray[np.float64]) -> None:
        own = np.array([row.tobytes() in self._own for row in rows], bool)
        if own.any():
            self._learn_own(rows[own], self._baseline.advantages(torch.from_numpy(rewards[own]).float()))

    def _climb(self, gain: Tensor, entropy: Tensor) -> None:
        """Take a step towards a higher gain and a higher entropy."""
        self._optimizer.zero_grad()
        (-gain - self.entropy * entropy.mean()).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
