"""Random search: networks drawn from the feasible region (Li and Talwalkar, UAI 2019, as the baseline to beat)."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.pareto import Scores
from nas.strategy import Strategy
from search_spaces.plan_index import Population


@dataclass(config={"extra": "forbid"})
class RandomSearch(Strategy):
    """Draws independent networks and learns nothing."""

    multi_objective = True
    learns = False
    asynchronous = True

    batch: int = Field(default=64, ge=1, description="networks proposed at a time")

    def _ask(self) -> Population:
        return self.region.sample(self.batch, self.rng)

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        pass
