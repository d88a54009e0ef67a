"""A space of dense networks, small enough to enumerate; the fixture `toy` loads it by name, as any other."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic.dataclasses import dataclass
from torch import nn

from search_spaces import Block, Choice, SearchSpace, TensorSpec
from search_spaces.plan_index import Population


@dataclasses.dataclass(frozen=True)
class Dense(Block):
    n_in: int
    n_out: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec((self.n_in,)),)

    @property
    def output(self) -> TensorSpec:
        return TensorSpec((self.n_out,))

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(self.n_in, self.n_out), nn.ReLU())


@dataclass(frozen=True, config={"extra": "forbid"})
class Toy(SearchSpace):
    """Some layers of some widths each; the width of a layer that is not there changes nothing."""

    name: ClassVar[str] = "toy"

    widths: tuple[int, ...] = (8, 16, 32, 64)
    depths: tuple[int, ...] = (1, 2, 3)

    @property
    def choices(self) -> tuple[Choice, ...]:
        layers = (Choice(f"width_{layer}", self.widths) for layer in range(1, max(self.depths) + 1))
        return (Choice("depth", self.depths), *layers)

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        n_in = 16
        for layer in range(1, options["depth"] + 1):
            n_out = options[f"width_{layer}"]
            yield f"layer_{layer}", Dense(n_in, n_out)
            n_in = n_out
        yield "classifier", Dense(n_in, 10)

    def rows(self) -> Population:
        """Return every row that a population may have."""
        return np.array(list(itertools.product(*map(range, self.n_options))))
