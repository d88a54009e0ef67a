"""What a search found, as shares of what an enumeration of the whole table finds."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.tabular.table import Table
from nas.objectives import Objective
from nas.pareto import hypervolume
from nas.search import Search
from nas.strategy import Strategy

Floats = NDArray[np.float64]

BUDGETS = (50, 100, 200, 400)
"""Distinct architectures evaluated."""

LIMITS = (0.25, 0.5, 0.75)
"""Latency limits, as quantiles of the latencies of the table."""


class Problem:
    """Accuracy against latency over a table.

    Attributes:
        name: of the two columns.
    """

    def __init__(self, table: Table, accuracy: str, latency: str) -> None:
        self.name = f"{accuracy} / {latency}"
        self.table = table
        self.objectives = (Objective(accuracy), Objective(latency, maximise=False))
        self._accuracy, self._latency = table.results[accuracy], table.results[latency]

    def search(self, strategy: Strategy, seed: int, budget: int = max(BUDGETS)) -> NDArray[np.int64]:
        """Return the places in the table, (budget,), of what a strategy evaluates, in order."""
        search = Search(self.table, strategy, self.objectives, self.table.region, budget=budget, seed=seed)
        return self.table.places(search.run(progress=False).population)

    def figures(self, places: NDArray[np.int64]) -> dict[str, float]:
        """Return the figures of the protocol for evaluated architectures (n,), by name.

        The shares of the exact hypervolume over the whole table and in the region of interest; how far the best
        accuracy under latency limits is short of the optimum, on average over the limits; for how many of them it is
        the optimum.
        """
        short = [optimum - self._best(places, limit) for limit, optimum in self._optima]
        return {
            "region": hypervolume(self._region[places], np.zeros(2)) / self._in_region,
            "table": hypervolume(self._whole[places], np.zeros(2)) / self._in_table,
            "short": float(np.mean(short)),
            "optimum": float(np.mean([missing <= 0 for missing in short])),
        }

    @cached_property
    def _whole(self) -> Floats:
        """Accuracy and speed (N, 2), linear from the worst of the table, 0, to the best, 1."""
        return np.stack([_scaled(self._accuracy), _scaled(-self._latency)], axis=1)

    @cached_property
    def _region(self) -> Floats:
        """Accuracy (N, 2) from the median to the best, and the logarithm of latency among those above the median."""
        median = np.median(self._accuracy)
        inside = self._accuracy > median
        speed = -np.log(self._latency)
        scaled = (speed - speed[inside].min()) / (speed[inside].max() - speed[inside].min())
        accuracy = (self._accuracy - median) / (self._accuracy.max() - median)
        return np.where(inside[:, None], np.stack([accuracy, scaled], axis=1), 0.0)

    @cached_property
    def _in_table(self) -> float:
        return hypervolume(self._whole, np.zeros(2))

    @cached_property
    def _in_region(self) -> float:
        return hypervolume(self._region, np.zeros(2))

    @cached_property
    def _optima(self) -> list[tuple[float, float]]:
        everything = np.arange(len(self._accuracy))
        limits = [float(np.quantile(self._latency, share)) for share in LIMITS]
        return [(limit, self._best(everything, limit)) for limit in limits]

    def _best(self, places: NDArray[np.int64], limit: float) -> float:
        """Return the best accuracy under a latency limit; that of the worst architecture if none keeps it."""
        within = places[self._latency[places] <= limit]
        return float(self._accuracy[within].max(initial=self._accuracy.min()))


def _scaled(values: Floats) -> Floats:
    scaled: Floats = (values - values.min()) / (values.max() - values.min())
    return scaled
