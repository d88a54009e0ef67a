"""Which architectures a training step of a supernet trains. A way of sampling is a class in `SAMPLINGS`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass as options
from torch import Tensor

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.errors import unknown
from search_spaces.plan_index import Population, distinct
from search_spaces.plugins import configured


class Losses(Protocol):
    """Says how good networks are at a step, on training examples that are the same for all of them."""

    def __call__(self, population: Population, n_examples: int | None) -> NDArray[np.float64]:
        """Return the cross entropy (N,) of each row with its shared weights; None: on as many examples as a batch."""


@dataclass(frozen=True)
class Draw:
    """The architectures of one step; where `distil` holds, the first one's outputs are the others' targets.

    `memory` is handed to the next step's draw, and belongs to the training's checkpoint.
    """

    architectures: tuple[Architecture, ...]
    distil: bool
    memory: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """What a draw may go by, and nothing else: a training that is resumed draws what it would have drawn.

    Attributes:
        space: that of the supernet.
        rng: random numbers of this step.
        progress: share of the steps that have been taken, from 0 to below 1.
        losses: of networks, as they are before this step.
        memory: that of the last draw, empty at the first step.
    """

    space: SearchSpace
    rng: np.random.Generator
    progress: float
    losses: Losses
    memory: Mapping[str, Tensor]


class Sampling(ABC):
    """A way of sampling; a subclass is a frozen dataclass of its options and keeps no state."""

    @abstractmethod
    def draw(self, moment: Moment) -> Draw:
        """Return the architectures of a step."""


@options(frozen=True, config={"extra": "forbid"})
class Sandwich(Sampling):
    """Largest, smallest and two random networks, the largest teaching the others (BigNAS, Yu et al., ECCV 2020).

    Made for options that are sizes, where the extremes hold all the others' weights and are held by them. Where options
    are different operations, the extremes are two networks like any other, trained in every step.
    """

    def draw(self, moment: Moment) -> Draw:
        space = moment.space
        return Draw((space.largest(), space.smallest(), *space.decode(space.sample(2, moment.rng))), distil=True)


@options(frozen=True, config={"extra": "forbid"})
class Uniform(Sampling):
    """One random network (single path one-shot, Guo et al., ECCV 2020)."""

    def draw(self, moment: Moment) -> Draw:
        return Draw(tuple(moment.space.decode(moment.space.sample(1, moment.rng))), distil=False)


@options(frozen=True, config={"extra": "forbid"})
class Greedy(Sampling):
    """The best of some networks, so that weak ones do not pull at the weights (GreedyNAS, You et al., CVPR 2020).

    What was good before is in a pool, and is drawn from there with a probability that rises from step to step: first
    the space is explored, then more and more of the training goes to networks that a search may end with.
    """

    paths: int = Field(default=10, ge=1, description="networks tried a step")
    kept: int = Field(default=5, ge=1, description="networks trained a step: the best of those tried")
    examples: int | None = Field(
        default=None, ge=1, description="training examples that networks are tried on; unset: as many as a batch"
    )
    pool: int = Field(default=1000, ge=1, description="the best networks so far, to draw from")
    exploitation: float = Field(default=0.8, ge=0, le=1, description="in the end, the share drawn from the pool")
    exploration: float = Field(default=0.3, ge=0, lt=1, description="share of the training that leaves the pool alone")

    def __post_init__(self) -> None:
        if self.kept > self.paths:
            raise InputError(
                f"kept={self.kept} networks of paths={self.paths} tried: keep at most as many as are tried"
            )

    def draw(self, moment: Moment) -> Draw:
        space, memory = moment.space, moment.memory
        rows = memory["rows"].numpy() if memory else space.sample(0, moment.rng)
        losses = memory["losses"].numpy() if memory else np.empty(0)
        tried = self._tried(moment, rows)
        found = moment.losses(tried, self.examples)
        best = tried[np.argsort(found, kind="stable")[: self.kept]]
        rows, losses = np.concatenate([tried, rows]), np.concatenate([found, losses])
        newest = distinct(rows)
        pool = newest[np.argsort(losses[newest], kind="stable")][: self.pool]
        pool = pool[np.isfinite(losses[pool])]
        memory = {"rows": torch.from_numpy(rows[pool]), "losses": torch.from_numpy(losses[pool])}
        return Draw(tuple(space.decode(best)), distil=False, memory=memory)

    def _tried(self, moment: Moment, pool: Population) -> Population:
        """Return the distinct networks (n, choices) that are tried, n being `paths` at most."""
        space, rng = moment.space, moment.rng
        drawn = space.sample(self.paths, rng)
        if len(pool):
            epsilon = self.exploitation * (moment.progress - self.exploration) / (1 - self.exploration)
            from_pool = rng.random((self.paths, 1)) < epsilon
            drawn = np.where(from_pool, pool[rng.integers(len(pool), size=self.paths)], drawn)
        drawn = space.canonical(drawn)
        return drawn[distinct(drawn)]


SAMPLINGS: Mapping[str, type[Sampling]] = {"sandwich": Sandwich, "uniform": Uniform, "greedy": Greedy}


def load_sampling(name: str, options: Mapping[str, Any]) -> Sampling:
    """Return a way of sampling with the given options.

    Raises:
        InputError: no such way, or an option that it does not have or cannot take.
    """
    if name not in SAMPLINGS:
        raise unknown("sampling", name, SAMPLINGS)
    return configured(SAMPLINGS[name], f"sampling {name}", options)
