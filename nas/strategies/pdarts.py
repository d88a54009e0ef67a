"""P-DARTS (Chen et al., ICCV 2019): DARTS in stages, after each of which the options of low probability are dropped.

Of its three parts this is the narrowing of the search. That networks grow from stage to stage has no counterpart on a
supernet whose depth is among the choices, and dropping out skip connections none where operations have no names.
"""

from itertools import pairwise

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.differentiable.descent import ArchitectureDescent
from nas.differentiable.strategy import DifferentiableStrategy


@dataclass(config={"extra": "forbid"})
class PDARTS(DifferentiableStrategy):
    """Computes fewer options from stage to stage, so that the mixture comes closer to what it stands for."""

    stages: int = Field(default=3, ge=1, description="of equal length")
    share: float = Field(default=0.6, gt=0, le=1, description="of each choice's options, as many as go on to a stage")

    def after_epoch(self, descent: ArchitectureDescent) -> None:
        ends = [round(stage * self.epochs / self.stages) - 1 for stage in range(1, self.stages)]
        if descent.epoch not in ends:
            return
        kept = descent.log_probabilities() > -np.inf
        first = np.cumsum([0, *self.region.space.n_options])
        for low, high in pairwise(first):
            n = max(1, round(self.share * kept[low:high].sum()))
            kept[low:high] = False
            kept[low + np.argsort(-descent.log_probabilities()[low:high], kind="stable")[:n]] = True
        descent.keep(kept)
