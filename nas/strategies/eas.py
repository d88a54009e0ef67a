"""Efficient architecture search by network transformation (EAS; Cai et al., AAAI 2018)."""

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from nas.morphism import enlargements
from nas.pareto import Scores
from nas.reinforcement import PolicyGradient
from nas.strategy import best_first
from search_spaces.plan_index import Population, distinct

logger = logging.getLogger(__name__)

_LOOKED_AT = 100
"""So many networks of the region are looked at for some that can grow."""

_BIAS = -1.5
"""At first, one choice in five goes up: what a step adds is learned soon by what was there."""


class _Actor(nn.Module):
    """Reads an architecture in both directions and says of every choice how likely it is to be raised.

    Args:
        n_options: of each choice.
        hidden: width of the LSTM in each direction.
        seed: of the weights.
    """

    first: Tensor

    def __init__(self, n_options: NDArray[np.int64], hidden: int, seed: int) -> None:
        super().__init__()
        self.register_buffer("first", torch.from_numpy(np.cumsum(n_options) - n_options))
        self.options = nn.Embedding(int(n_options.sum()), hidden)
        self.reader = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)
        self.logit = nn.Linear(2 * hidden, 1)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-0.1, 0.1, generator=generator)
            self.logit.bias.fill_(_BIAS)

    def forward(self, rows: Tensor) -> Tensor:
        """Return logits (N, choices) for architectures (N, choices)."""
        read, _ = self.reader(self.options(rows + self.first))
        logits: Tensor = self.logit(read)[..., 0]
        return logits


@dataclass(config={"extra": "forbid"})
class EAS(PolicyGradient):
    """Grows networks in steps; in each, every choice goes to its next larger option or stays, as a policy says.

    Only steps that keep a network's function are taken (`nas.morphism`), so that each network may go on from the
    weights of one before it, if the evaluator lets it (`nas.evaluation.inherited`). Growth begins at the smallest
    network and at the best so far. Published are two policies, one for widths and one for depth; here depth is a
    choice like others, and one serves for both. What no step reaches, such as another resolution, is among the random
    networks that are tried when the policy has nothing new.
    """

    looks_at_networks = True

    steps: int = Field(default=3, ge=1, description="transformations from the start of an episode to its end")
    starts: int = Field(default=1, ge=0, description="best networks that episodes begin at, beside the smallest")
    hidden: int = Field(default=32, ge=1, description="width of the policy's network in each direction")

    def _start(self) -> None:
        space = self.region.space
        self._actor = _Actor(space.n_options, self.hidden, int(self.rng.integers(2**31)))
        self._follow(self._actor)
        if not enlargements(space, self.region.sample(_LOOKED_AT, self.rng)).any():
            logger.warning("no network of %s grows by a morphism: eas draws networks at random", space.name)
        self._origin = self.region.origin(self.rng)
        self._best, self._best_scores, self._best_violations = self._origin[:0], np.empty((0, 1)), np.empty(0)
        self._episodes: dict[bytes, tuple[Tensor, Tensor, Tensor]] = {}

    def _draw(self, n: int) -> Population:
        beginnings = np.concatenate([self._origin, self._best])
        rows = beginnings[self.rng.integers(len(beginnings), size=n)]
        before, allowed, raised = [], [], []
        for _ in range(self.steps):
            before.append(rows)
            allowed.append(enlargements(self.region.space, rows))
            with torch.no_grad():
                probabilities = self._actor(torch.from_numpy(rows)).sigmoid().numpy()
            raised.append(allowed[-1] & (self.rng.random(rows.shape) < probabilities))
            rows = rows + raised[-1]
        taken = (torch.from_numpy(np.stack(steps, axis=1)) for steps in (before, allowed, raised))
        self._episodes |= {row.tobytes(): steps for row, steps in zip(rows, zip(*taken, strict=True), strict=True)}
        return rows

    def _ask(self) -> Population:
        self._episodes = {}
        return super()._ask()

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        super()._tell(population, scores, violations)
        worked = np.isfinite(scores[:, 0])
        rows = np.concatenate([self._best, population[worked]])
        scores = np.concatenate([self._best_scores, scores[worked]])
        violations = np.concatenate([self._best_violations, violations[worked]])
        first = distinct(rows)
        best = first[best_first(scores[first], violations[first])][: self.starts]
        self._best, self._best_scores, self._best_violations = rows[best], scores[best], violations[best]

    def _learn_own(self, rows: Population, advantages: Tensor) -> None:
        episodes = zip(*(self._episodes[row.tobytes()] for row in rows), strict=True)
        before, allowed, raised = (torch.stack(steps) for steps in episodes)  # (N, steps, choices)
        logits = self._actor(before.flatten(0, 1)).reshape(before.shape)
        up, stay = logsigmoid(logits), logsigmoid(-logits)
        taken = (torch.where(raised, up, stay) * allowed).sum((1, 2))
        entropy = -((up.exp() * up + stay.exp() * stay) * allowed).sum((1, 2))
        self._climb((advantages * taken).mean(), entropy)
