"""DARTS (Liu et al., ICLR 2019): options are mixed by the softmax of their logits."""

from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.differentiable.strategy import DifferentiableStrategy


@dataclass(config={"extra": "forbid"})
class DARTS(DifferentiableStrategy):
    """Computes all options in every step, so that a step costs what the largest networks cost together.

    Of the second order, the logits' gradient is that of the validation loss after one plain step of the weights.
    """

    second_order: bool = Field(default=False, description="look one step of the weights ahead; four times as slow")
