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

_LEAST = 1e-9
"""A prediction of less, or of nothing, is exceeded as this would be: beyond any bound, and still by a number."""


def excess(costs: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n,): by how much costs (n,) exceed their predictions (n,), relative to these."""
    return np.asarray(costs / np.maximum(predicted, _LEAST) - 1)


def conformal(errors: NDArray[np.float64], share: float) -> float:
    """Return the error that a share of new networks does not exceed, by networks left out of the fit.

    Of n errors the one of rank (n + 1) * share, rounded up (split conformal prediction; Lei et al., JASA 2018). That
    holds on average over what was measured, for networks drawn as those were that were left out. Of fewer than
    share / (1 - share) it is the largest, which holds for n / (n + 1) of new networks: of five for 83 %.

    Args:
        errors: of the networks that were left out, (n,).
        share: of new networks.
    """
    rank = min(len(errors), int(np.ceil((len(errors) + 1) * share)))
    return float(np.sort(errors)[rank - 1])


def margin_of(costs: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """Return the margin, at least 0, that networks left out of the fit call for.

    Args:
        costs: theirs, (n,); with fewer than 19 the margin holds for n / (n + 1) of new ones; see `conformal`.
        predicted: what was predicted, (n,).
    """
    return max(0.0, conformal(excess(costs, predicted), WITHIN_MARGIN))


class CostModel(ABC):
    """What each network of a population costs.

    Attributes:
        metric: what is predicted, with its unit, such as "latency_ms".
        margin: relative amount by which the truth may exceed the prediction, of `WITHIN_MARGIN` of all networks, or of
            fewer where few were measured (see `margin_of`); 0 for exact counts.
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
