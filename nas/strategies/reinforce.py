"""REINFORCE with a recurrent controller (Zoph and Le, ICLR 2017; Williams, Machine Learning 1992)."""

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from nas.controller import ControllerStrategy
from search_spaces.plan_index import Population


@dataclass(config={"extra": "forbid"})
class Reinforce(ControllerStrategy):
    """Follows the gradient of the expected reward.

    Entropy is rewarded, too (as Pham et al., ICML 2018, do), or a policy settles on what it found first.
    """

    def _learn(self, rows: Population, rewards: NDArray[np.float64]) -> None:
        log_probability, entropy = self._controller.log_probabilities(rows)
        self._climb((self._advantages(rewards) * log_probability).mean(), entropy)
