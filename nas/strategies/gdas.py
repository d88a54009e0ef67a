"""GDAS (Dong and Yang, CVPR 2019): one sampled network a step, with the gradient of the relaxed sample."""

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from nas.differentiable.gates import Gate, annealed, gumbel_softmax, straight_through
from nas.differentiable.strategy import DifferentiableStrategy


@dataclass(config={"extra": "forbid"})
class GDAS(DifferentiableStrategy):
    """Computes the network that was sampled alone, so that a step costs what a single network costs."""

    temperature: float = Field(default=10.0, gt=0, description="at the start")
    final_temperature: float = Field(default=0.1, gt=0, description="at the end")

    def gate(self, logits: Tensor, progress: float, generator: torch.Generator) -> Gate:
        soft = gumbel_softmax(logits, annealed(self.temperature, self.final_temperature, progress), generator)
        option = int(soft.argmax())
        return Gate(straight_through(soft, option), (option,))
