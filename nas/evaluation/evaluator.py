"""The contract of everything that says how good networks are."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from search_spaces import SearchSpace
from search_spaces.plan_index import Population

Metrics = dict[str, NDArray[np.float64]]
"""One array (N,) a metric; NaN where a network could not be evaluated."""


class Evaluator(ABC):
    """Measures the networks of a space.

    Attributes:
        space: the space that populations are of.
        metrics: the names that `evaluate` returns.
        independent: whether what is said of a batch depends on that batch alone, so that several may be evaluated side
            by side, each by a copy whose tensors can only be read.
        batch_size: how many networks are best evaluated between two records in a journal.
    """

    space: SearchSpace
    metrics: tuple[str, ...]
    independent: ClassVar[bool] = True
    batch_size: ClassVar[int]

    @abstractmethod
    def evaluate(self, population: Population) -> Metrics:
        """Return the metrics of each row of a population (N, choices)."""
