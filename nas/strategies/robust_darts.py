"""RobustDARTS (Zela et al., ICLR 2020): DARTS that stops early, before the validation loss becomes sharp."""

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.differentiable.descent import ArchitectureDescent
from nas.differentiable.strategy import DifferentiableStrategy
from search_spaces.errors import InputError


@dataclass(config={"extra": "forbid"})
class RobustDARTS(DifferentiableStrategy):
    """Watches the dominant eigenvalue of the Hessian of the validation loss in the logits.

    Where its average over some epochs has grown by more than a third since as many epochs ago, the logits of then are
    the result.
    """

    epochs: int = Field(default=50, ge=1, description="passes over the training examples, at most; 50 as published")
    window: int = Field(default=5, ge=1, description="epochs that are averaged, and compared with as many before")
    sharpening: float = Field(default=0.75, gt=0, lt=1, description="ends when the average of then over now is below")

    def _begin(self) -> None:
        super()._begin()
        if self.epochs <= 2 * self.window:
            raise InputError(
                f"epochs {self.epochs}: expected more than two windows of {self.window}, before which nothing ends "
                "early; give more epochs, or a smaller window"
            )

    def after_epoch(self, descent: ArchitectureDescent) -> None:
        eigenvalues = np.array(descent.dominant_eigenvalues())
        then, now = eigenvalues[-2 * self.window : -self.window], eigenvalues[-self.window :]
        if len(then) == self.window and then.mean() < self.sharpening * now.mean():
            descent.end(descent.epoch - self.window)
