"""The contract of everything that says what a network costs, and the cost that is put together from its blocks."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces import Architecture, SearchSpace, elimination
from search_spaces.plan_index import Population

WITHIN_MARGIN = 0.95
"""The share of networks whose cost exceeds the prediction by the margin at most."""


class CostModel(ABC):
    """What each network of a population costs.

    Attributes:
        metric: what is predicted, with its unit, such as "latency_ms".
        margin: relative amount by which the truth may exceed the prediction, of `WITHIN_MARGIN` of all networks; 0 for
            exact counts.
    """

    metric: str
    margin: float = 0.0

    @abstractmethod
    def predict(self, population: Population) -> NDArray[np.float64]:
        """Return (N,): the cost of each row of the population (N, choices)."""

    @abstractmethod
    def cheapest(self) -> tuple[float, Architecture]:
        """Return the lowest cost of the whole space, and the architecture that has it."""

    @abstractmethod
    def dearest(self) -> tuple[float, Architecture]:
        """Return the highest cost of the whole space, and the architecture that has it."""


class BlockCost(CostModel):
    """A cost that is the sum, or the maximum, of one value per block of the plan, plus a constant.

    Args:
        space: the space.
        metric: what the values mean, with their unit.
        values: (blocks,), in the order of `space.index.blocks`.
        constant: added once a network.
        combine: how a network's cost follows from its blocks'.
        margin: relative error to allow for.
    """

    def __init__(
        self,
        space: SearchSpace,
        metric: str,
        values: NDArray[np.float64],
        *,
        constant: float = 0.0,
        combine: Literal["sum", "max"] = "sum",
        margin: float = 0.0,
    ) -> None:
        self.space = space
        self.metric = metric
        self.values = np.asarray(values, dtype=np.float64)
        self.constant = constant
        self.combine = combine
        self.margin = margin

    @cached_property
    def _combined(self) -> Callable[[Population], NDArray[np.float64]]:
        index = self.space.index
        return index.summed(self.values) if self.combine == "sum" else index.largest(self.values)

    def predict(self, population: Population) -> NDArray[np.float64]:
        return self._combined(population) + self.constant

    def cheapest(self) -> tuple[float, Architecture]:
        return self._extreme(1.0)

    def dearest(self) -> tuple[float, Architecture]:
        return self._extreme(-1.0)

    def _extreme(self, sign: float) -> tuple[float, Architecture]:
        """Return the network of lowest `sign` times the cost, exactly, over the whole space."""
        combine = np.add if self.combine == "sum" else (np.maximum if sign > 0 else np.minimum)
        _, options = elimination.minimise(self.space.index.factors(sign * self.values), combine)
        row = np.array([[options.get(choice, 0) for choice in range(len(self.space.choices))]])
        canonical = self.space.canonical(row)
        return float(self.predict(canonical)[0]), self.space.decode(canonical)[0]
