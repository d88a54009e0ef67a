"""Which architectures a training step of a supernet trains. A way of sampling is a function in `SAMPLINGS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from search_spaces import Architecture, SearchSpace


@dataclass(frozen=True)
class Draw:
    """The architectures of one step; where `distil` holds, the first one's outputs are the others' targets."""

    architectures: tuple[Architecture, ...]
    distil: bool


def sandwich(space: SearchSpace, rng: np.random.Generator) -> Draw:
    """Largest, smallest and two random networks, the largest teaching the others (BigNAS, Yu et al., ECCV 2020).

    Made for options that are sizes, where the extremes hold all the others' weights and are held by them. Where options
    are different operations, the extremes are two networks like any other, trained in every step.
    """
    return Draw((space.largest(), space.smallest(), *space.decode(space.sample(2, rng))), distil=True)


def uniform(space: SearchSpace, rng: np.random.Generator) -> Draw:
    """One random network (single path one-shot, Guo et al., ECCV 2020)."""
    return Draw(tuple(space.decode(space.sample(1, rng))), distil=False)


SAMPLINGS: Mapping[str, Callable[[SearchSpace, np.random.Generator], Draw]] = {
    "sandwich": sandwich,
    "uniform": uniform,
}
