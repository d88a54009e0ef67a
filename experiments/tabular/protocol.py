"""What a search found, as shares of what an enumeration of the whole table finds."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.tabular.table import Table
from nas.objectives import Limit, Objective
from nas.pareto import hypervolume
from nas.search import Search
from nas.strategy import Strategy
from search_spaces.errors import InputError

Floats = NDArray[np.float64]

BUDGETS = (50, 100, 200, 400)
"""Distinct architectures evaluated."""

LIMITS = (0.25, 0.5, 0.75)
"""Latency limits, as quantiles of the latencies of the table."""


class Problem:
    """Accuracy against latency over a table: the front of both, or the best accuracy under a latency limit.

    Under a limit the latency of an architecture is known once it is evaluated, as its accuracy is.

    Args:
        table: the results of all architectures.
        accuracy: a column of it.
        latency: another.
        limit: a quantile of the latencies; None to search for the front.

    Raises:
        InputError: a latency is not positive, or those above the median of accuracies are all equally good or fast.
    """

    def __init__(self, table: Table, accuracy: str, latency: str, limit: float | None = None) -> None:
        self.table = table
        self.accuracy = accuracy
        self.latency = latency
        self.limit = limit
        self._accuracy, self._latency = table.results[accuracy], table.results[latency]
        if not (self._latency > 0).all():
            raise InputError(
                f"column {latency} has {self._latency.min():g} among its latencies: expected positive ones"
            )
        above = self._latency[self._accuracy > np.median(self._accuracy)]
        if not len(above) or above.min() == above.max():
            raise InputError(
                f"{accuracy} and {latency} leave nothing to compare: expected architectures above the median accuracy, "
                "and latencies that differ among them"
            )

    @property
    def name(self) -> str:
        """The two columns, and the limit if there is one."""
        return f"{self.accuracy} / {self.latency}" + (f" under {self.limit:.0%}" if self.limit else "")

    def is_served_by(self, strategy: Strategy) -> bool:
        """Tell whether a strategy can search for it: those of one objective search under a limit only."""
        return self.limit is not None or strategy.multi_objective

    def search(self, strategy: Strategy, seed: int, budget: int = max(BUDGETS)) -> NDArray[np.int64]:
        """Return the places in the table, (budget,), of what a strategy evaluates, in order."""
        accuracy, latency = Objective(self.accuracy), Objective(self.latency, maximise=False)
        search = Search(
            self.table,
            strategy,
            [accuracy, latency] if self.limit is None else [accuracy],
            self.table.region,
            limits=[] if self.limit is None else [Limit(self.latency, at_most=self._at_most(self.limit))],
            budget=budget,
            seed=seed,
        )
        return self.table.places(search.run(progress=False).population)

    def figures(self, places: NDArray[np.int64]) -> dict[str, float]:
        """Return the figures of the protocol for evaluated architectures (n,), by name.

        Of a front, `region` and `table`: the shares of the exact hypervolume in the region of interest and over the
        whole table. Of any, `short` and `optimum`: how far the best accuracy under the limit, or on average under each
        of the three, is short of the optimum, and whether, or how often, it is the optimum.
        """
        short = [optimum - self._best(places, at_most) for at_most, optimum in self._optima]
        figures = {"short": float(np.mean(short)), "optimum": float(np.mean([missing <= 0 for missing in short]))}
        if self.limit is None:
            figures["region"] = hypervolume(self._region[places], np.zeros(2)) / self._in_region
            figures["table"] = hypervolume(self._whole[places], np.zeros(2)) / self._in_table
        return figures

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
        """The limits that count, in the unit of latency, and the best accuracy under each."""
        everything = np.arange(len(self._accuracy))
        limits = [self._at_most(share) for share in (LIMITS if self.limit is None else (self.limit,))]
        return [(at_most, self._best(everything, at_most)) for at_most in limits]

    def _at_most(self, share: float) -> float:
        return float(np.quantile(self._latency, share))

    def _best(self, places: NDArray[np.int64], at_most: float) -> float:
        """Return the best accuracy under a latency limit; that of the worst architecture if none keeps it."""
        within = places[self._latency[places] <= at_most]
        return float(self._accuracy[within].max(initial=self._accuracy.min()))


def _scaled(values: Floats) -> Floats:
    scaled: Floats = (values - values.min()) / (values.max() - values.min())
    return scaled
