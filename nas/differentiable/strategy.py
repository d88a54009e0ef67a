"""What differentiable strategies share: logits descended together with shared weights, then networks by probability."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from nas.constraint import Constraint
from nas.differentiable.descent import ArchitectureDescent
from nas.differentiable.expected_cost import ExpectedCost
from nas.differentiable.gates import Gate, everything
from nas.pareto import Scores
from nas.weight_search import WeightSearch
from search_spaces.plan_index import Population, distinct

_DRAWN = 4096
_CLIMBING = 16
_SWEEPS = 50
_DROPPED = -1e3
"""Log probability of options that were dropped: taken only where the others hit no bound, and as few as can be."""

_NEAR = 0.03
"""How far below a bound, relative to it, a network may be that hits it."""


@dataclass(config={"extra": "forbid"})
class DifferentiableStrategy(WeightSearch):
    """Descends logits of options on validation data and shared weights on training data, step by step in turn.

    The weights are a copy of the supernet's. Costs that are bounded are kept within their bounds in expectation, each
    by a multiplier that rises while the expectation is above the bound and falls while it is below; that of the
    tightest bound may pull costs up, too, so that it is hit. In the end, networks are proposed in the order of their
    probabilities, those first that are within 3 % of a bound.

    Attributes:
        second_order: whether gradients look ahead to what the weights' next step changes.
        logits_learn_from: the part of the data that the logits descend on.
        logit_betas: of the logits' Adam.
    """

    learns = False
    second_order = False
    logits_learn_from: ClassVar[Literal["validation", "train"]] = "validation"
    logit_betas: ClassVar[tuple[float, float]] = (0.5, 0.999)

    epochs: int = Field(default=10, ge=1, description="passes over the training examples")
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps in which the logits rest")
    batch_size: int = Field(default=64, ge=2, description="examples a step")
    optimizer: Literal["sgd", "adamw"] = Field(default="sgd", description="of the weights")
    learning_rate: float = Field(default=0.025, gt=0, description="of the weights, peak of the cosine schedule")
    logit_learning_rate: float = Field(default=0.05, gt=0, description="of the logits, by Adam")
    batch: int = Field(default=10, ge=1, description="networks proposed at a time")

    def gate(self, logits: Tensor, progress: float, generator: torch.Generator) -> Gate:
        """Return how the options of a choice are mixed in one step: all of them by their probabilities, as DARTS does.

        Args:
            logits: of the options, (options,).
            progress: the share of the steps that is done, 0 to 1.
            generator: the only source of randomness.
        """
        return everything(logits.softmax(0))

    def gate_of_weights(self, logits: Tensor, progress: float, generator: torch.Generator) -> Gate:
        """Return how options are mixed in a step of the weights: as in one of the logits, unless a strategy differs."""
        return self.gate(logits, progress, generator)

    def settled(self, logits: Tensor, before: Tensor, gate: Gate) -> Tensor:
        """Return what a choice's logits (options,) come to after a step: what Adam made of them, as most leave it.

        Args:
            logits: after the step of Adam.
            before: as they were before it.
            gate: how the options were mixed in it.
        """
        return logits

    def skip_dropout(self, progress: float) -> float:
        """Return the share of skip connections that a step drops, after the share of the steps that is done."""
        return 0.0

    def require_bounds(self, constraints: Sequence[Constraint]) -> None:
        for constraint in constraints:
            ExpectedCost(constraint.model)

    def after_epoch(self, descent: ArchitectureDescent) -> None:
        """Look at a descent after an epoch: it may be narrowed to some options, set back or ended."""

    def _begin(self) -> None:
        super()._begin()
        self._seed = int(self.rng.integers(2**31))
        self._waiting: Population | None = None

    def _ask(self) -> Population:
        if self._waiting is None:
            self._waiting = self._ranked(self._searched())
        asked, self._waiting = self._waiting[: self.batch], self._waiting[self.batch :]
        return asked

    def _searched(self) -> NDArray[np.float64]:
        """Descend, and return the log probabilities of all options, those of one choice after the other."""
        assert self.weights is not None, "a search refuses that before it begins"
        descent = ArchitectureDescent(self, self.weights, self.region.constraints, self._seed)
        self._descend(descent)
        return descent.log_probabilities()

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        pass

    def _ranked(self, log_probabilities: NDArray[np.float64]) -> Population:
        """Return networks of the region, sampled and climbed to, in the order in which they are proposed.

        Args:
            log_probabilities: of all options, those of one choice after the other; -inf where they were dropped.
        """
        space = self.region.space
        first = np.cumsum(space.n_options) - space.n_options

        log_probabilities = np.maximum(log_probabilities, _DROPPED)

        def order(rows: Population) -> NDArray[np.int64]:
            return np.lexsort((-log_probabilities[rows + first].sum(axis=1), ~self._hits(rows)))

        def draw(n: int) -> Population:
            noise = self.rng.gumbel(size=(n, len(log_probabilities))) + log_probabilities
            return np.stack([part.argmax(axis=1) for part in np.split(noise, first[1:], axis=1)], axis=1)

        rows = self.region.breed(_DRAWN, draw, self.rng)
        rows = rows[distinct(rows)]
        if not self._hits(rows).any():
            near = self._climbed(rows, lambda grown: np.argsort(-self._used(grown), kind="stable"))
            rows = np.concatenate([rows, near[:_CLIMBING]])
        canonical = space.canonical(self._climbed(rows, order))
        return canonical[distinct(canonical)]

    def _climbed(self, rows: Population, order: Callable[[Population], NDArray[np.int64]]) -> Population:
        """Return as many networks of the region, in order, of which single changes of the first find no better ones."""
        rows = rows[order(rows)]
        for _ in range(_SWEEPS):
            around = np.concatenate([self.region.space.neighbours(row) for row in rows[:_CLIMBING]])
            grown = np.concatenate([rows, around[self.region.contains(around)]])
            grown = grown[distinct(grown)]
            grown = grown[order(grown)][: len(rows)]
            if np.array_equal(grown, rows):
                break
            rows = grown
        return rows

    def _hits(self, rows: Population) -> NDArray[np.bool_]:
        """Return (N,): whether some bound is all but reached; where there is none, every network will do."""
        return np.asarray(self._used(rows) >= 1 - _NEAR)

    def _used(self, rows: Population) -> NDArray[np.float64]:
        """Return (N,): the cost, margin included, as a share of the bound that it is nearest to; 1 without bounds."""
        used = [c.model.predict(rows) * (1 + c.model.margin) / c.bound for c in self.region.constraints]
        return np.max(used, axis=0) if used else np.ones(len(rows))
