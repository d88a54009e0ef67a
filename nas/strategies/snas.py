"""SNAS (Xie et al., ICLR 2019): relaxed samples, and one level: logits learn from training data, as weights do."""

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from nas.differentiable.gates import Gate, relaxed
from nas.differentiable.strategy import DifferentiableStrategy


@dataclass(config={"extra": "forbid"})
class SNAS(DifferentiableStrategy):
    """Mixes options by samples of the concrete distribution, which become one-hot as the temperature falls."""

    logits_learn_from = "train"

    temperature: float = Field(default=1.0, gt=0, description="at the start")
    final_temperature: float = Field(default=0.03, gt=0, description="at the end")

    def gate(self, logits: Tensor, progress: float, generator: torch.Generator) -> Gate:
        return relaxed(logits, self.temperature, self.final_temperature, progress, generator)
