"""What networks are made of, in numbers that mean the same on every device and in every space: their kernels."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latency_predictors.analytic.kernels import FAMILIES, kernels
from search_spaces import Block, SearchSpace
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_QUANTITIES = ("kernels", "multiply-adds", "bytes")

_SHRINKING = "multiply-adds of shrinking blocks"

NAMES = (
    *("networks", "blocks", "weights", _SHRINKING),
    *(f"{family} {quantity}" for family in FAMILIES for quantity in _QUANTITIES),
)
"""One, the number of blocks, bytes of weights, multiply-adds of blocks with a convolution that skips positions, which
devices are slower or faster at; then of each family of kernels how many, multiply-adds, bytes moved."""


def describe_block(block: Block) -> Floats:
    """Return what a block adds to each of `NAMES`."""
    totals = dict.fromkeys(NAMES, 0.0)
    totals["blocks"] = 1.0
    if any(kernel.strided for kernel in kernels(block)):
        totals[_SHRINKING] = float(sum(kernel.macs for kernel in kernels(block)))
    for kernel in kernels(block):
        totals["weights"] += kernel.weight_bytes
        for quantity, value in zip(_QUANTITIES, (1, kernel.macs, kernel.moved_bytes), strict=True):
            totals[f"{kernel.family} {quantity}"] += value
    return np.array(list(totals.values()))


class Descriptors:
    """The descriptors of a space's networks, in each form in which a runtime may run them.

    Attributes:
        space: the space.
        forms: the names of the forms, "written" the first.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.forms = tuple(space.forms(space.encode([space.smallest()])))

    def __call__(self, population: Population, form: str = "written") -> Floats:
        """Return (N, descriptors) of a population (N, choices), in the order of `NAMES`."""
        rows = self.space.forms(population)[form]
        return np.stack([np.ones(len(rows)), *(column(rows) for column in self._columns)], axis=1)

    def options(self, population: Population, form: str = "written") -> NDArray[np.float32]:
        """Return (N, options): the one-hot choices of a population (N, choices)."""
        return self.space.independent.one_hot(self.space.forms(population)[form])

    @cached_property
    def _columns(self) -> list[Callable[[Population], Floats]]:
        index = self.space.independent.index
        of_blocks = np.stack([describe_block(block) for block in index.blocks])
        return [index.summed(column) for column in of_blocks[:, 1:].T]
