"""FBNet (Wu et al., CVPR 2019) and FBNetV2 (Wan et al., CVPR 2020): relaxed samples of masks over every dimension."""

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from nas.differentiable.gates import Gate, relaxed
from nas.differentiable.strategy import DifferentiableStrategy


@dataclass(config={"extra": "forbid"})
class FBNet(DifferentiableStrategy):
    """Mixes options by samples of the concrete distribution, whose temperature falls from far above one.

    Candidates that are sizes share their weights through masks, as in FBNetV2, and others do not, as in FBNet. The cost
    is held at its bound; as published it is a factor of the loss, whose exponent decides where a search ends.
    """

    temperature: float = Field(default=5.0, gt=0, description="at the start")
    final_temperature: float = Field(default=0.2, gt=0, description="at the end")

    def gate(self, logits: Tensor, progress: float, generator: torch.Generator) -> Gate:
        return relaxed(logits, self.temperature, self.final_temperature, progress, generator)
