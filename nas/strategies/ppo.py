"""Proximal policy optimisation (Schulman et al., 2017) of a controller, as in NASNet (Zoph et al., CVPR 2018)."""

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from nas.controller import ControllerStrategy
from search_spaces.plan_index import Population

_LARGEST = 10.0
"""The largest logarithm of a ratio of probabilities, so that the ratio is finite."""


@dataclass(config={"extra": "forbid"})
class PPO(ControllerStrategy):
    """Learns from the same networks several times, as long as the policy stays near the one that drew them."""

    epochs: int = Field(default=5, ge=1, description="times that a step learns from its networks")
    clip: float = Field(default=0.2, gt=0, lt=1, description="relative change of a probability that is still followed")

    def _learn_own(self, rows: Population, advantages: Tensor) -> None:
        with torch.no_grad():
            before, _ = self._controller.log_probabilities(rows)
        for _ in range(self.epochs):
            log_probability, entropy = self._controller.log_probabilities(rows)
            ratio = (log_probability - before).clamp(-_LARGEST, _LARGEST).exp()
            near = ratio.clamp(1 - self.clip, 1 + self.clip)
            self._climb(torch.minimum(ratio * advantages, near * advantages).mean(), entropy)
