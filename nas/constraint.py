"""A bound on a predicted cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latency_predictors.cost_model import CostModel
from search_spaces.errors import InputError
from search_spaces.plan_index import Population


@dataclass(frozen=True)
class Constraint:
    """A bound on a cost that holds although the model errs: predictions are raised by the model's margin.

    Attributes:
        model: predicts the cost.
        bound: the highest cost allowed.
        metric: the name under which the cost is recorded: the model's own, unless two devices' costs share one.

    Raises:
        InputError: the bound is no finite number.
    """

    model: CostModel
    bound: float
    metric: str = ""

    def __post_init__(self) -> None:
        if not self.metric:
            object.__setattr__(self, "metric", self.model.metric)
        if not math.isfinite(self.bound):
            raise InputError(
                f"a bound of {self.bound} on {self.metric} is none: give a finite number, or no constraint"
            )

    def cost(self, population: Population) -> NDArray[np.float64]:
        """Return (N,): predictions, raised by the model's margin."""
        return self.model.predict(population) * (1 + self.model.margin)

    def excess(self, population: Population) -> NDArray[np.float64]:
        """Return (N,): by how much costs exceed the bound, relative to it; negative where they keep it."""
        return (self.cost(population) - self.bound) / self.scale

    @property
    def scale(self) -> float:
        """What an excess is relative to."""
        return abs(self.bound) or 1.0

    def satisfied(self, population: Population) -> NDArray[np.bool_]:
        """Return (N,): whether each row keeps the bound."""
        return self.cost(population) <= self.bound

    def require_feasible(self) -> None:
        """Raise unless some network of the space keeps the bound.

        Raises:
            InputError: with the cheapest network there is.
        """
        lowest, architecture = self.model.cheapest()
        guarded = lowest * (1 + self.model.margin)
        if guarded > self.bound:
            raise InputError(
                f"no network has {self.metric} <= {self.bound:.4g}: the lowest, {architecture.id}, has "
                f"{lowest:.4g}, which is {guarded:.4g} with the model's margin of {self.model.margin:.1%}; "
                f"raise the bound of {self.metric} to at least that"
            )


def in_words(bounds: Mapping[str, float]) -> str:
    """Return bounds, by metric, in words."""
    return " and ".join(f"{metric} <= {bound:.4g}" for metric, bound in bounds.items())


def violations(constraints: Sequence[Constraint], population: Population) -> NDArray[np.float64]:
    """Return (N,): the summed excess over all bounds that are exceeded; 0 where all are kept."""
    excesses = [np.maximum(constraint.excess(population), 0.0) for constraint in constraints]
    total: NDArray[np.float64] = np.sum([np.zeros(len(population)), *excesses], axis=0)
    return total
