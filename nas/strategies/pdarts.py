"""P-DARTS (Chen et al., ICCV 2019): DARTS in stages, on ever deeper networks with ever fewer options.

After each stage the options of low probability are dropped, which pays for the depth of the next. As the easiest way
to a low loss is to pass on what came in, skip connections are dropped out in training, less and less within a stage,
and the networks proposed have few.
"""

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from nas.config import require_unsaid
from nas.differentiable.descent import ArchitectureDescent
from nas.differentiable.strategy import DifferentiableStrategy
from nas.evaluation.shared_weights import SharedWeights
from nas.supernet import Supernet
from search_spaces.errors import InputError

_SHALLOWEST = 0.01


@dataclass(config={"extra": "forbid"})
class PDARTS(DifferentiableStrategy):
    """Begins each stage anew: with weights of its own on shallower networks, with the supernet's at full depth.

    Networks grow where a space says how (cells that are stacked); where depth is among the choices they do not need to.
    Skip connections are told apart from other operations where a space names them. They are dropped out as wholes, a
    step at a time, rather than element by element.
    """

    _dropout = 0.0

    stages: int = Field(default=3, ge=1, description="of equal length")
    share: float = Field(default=0.6, gt=0, le=1, description="of each choice's options, as many as go on to a stage")
    first_depth: float = Field(default=0.3, gt=0, le=1, description="of the first stage, as a share; the last has all")
    dropout: float = Field(
        default=0.7, ge=0, lt=1, description="of skip connections in the last stage; the first has 0"
    )
    skips: int = Field(default=2, ge=0, description="connections that skip, at most, where a bound allows it")

    def skip_dropout(self, progress: float) -> float:
        return self._dropout * (1 - progress)

    def _begin(self) -> None:
        super()._begin()
        if self.epochs < self.stages:
            raise InputError(f"epochs {self.epochs}: expected at least one for each of {self.stages} stages")
        space, in_stages = self.region.space, self.stages > 1
        skips, grows = space.skip is not None, space.shallower(_SHALLOWEST) != space
        for name, is_heeded, wanted in (
            ("share", in_stages, "several stages"),
            ("first_depth", in_stages and grows, "several stages and a space that says how networks grow"),
            ("dropout", in_stages and skips, "several stages and a space that names its skip connections"),
            ("skips", skips, "a space that names its skip connections"),
        ):
            if not is_heeded:
                require_unsaid(self, [name], wanted, of=None)

    def _searched(self) -> NDArray[np.float64]:
        found = np.zeros(int(self.region.space.n_options.sum()))
        for stage in range(self.stages):
            descent = self._stage(stage, found > -np.inf)
            self._descend(descent, f"stage{stage + 1}", stage=stage + 1)
            found = descent.log_probabilities()
            if stage < self.stages - 1:
                found = self._narrowed(found)
        return self._with_few_skips(found)

    def _stage(self, stage: int, kept: NDArray[np.bool_]) -> ArchitectureDescent:
        """Return the descent of a stage, from 0, that has not begun."""
        done = stage / max(1, self.stages - 1)
        self._dropout = self.dropout * done
        epochs = (stage + 1) * self.epochs // self.stages - stage * self.epochs // self.stages
        weights = self._weights_at(1 - (1 - self.first_depth) * (1 - done) if self.stages > 1 else 1.0)
        descent = ArchitectureDescent(self, weights, self.region.constraints, self._seed + stage, epochs=epochs)
        descent.keep(kept)
        return descent

    def _weights_at(self, depth: float) -> SharedWeights:
        assert self.weights is not None, "a search refuses that before it begins"
        space = self.weights.space.shallower(depth)
        if space == self.weights.space:
            return self.weights
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            supernet = Supernet(space)
        return SharedWeights(supernet.to(next(self.weights.supernet.parameters()).device), self.weights.data)

    def _narrowed(self, log_probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log probabilities with the least likely options of each choice at -inf.

        No choice is left with a skip connection alone: in the end it may be one too many.
        """
        space = self.region.space
        narrowed = log_probabilities.copy()
        for choice, (low, high) in zip(space.choices, pairwise(np.cumsum([0, *space.n_options])), strict=True):
            own = log_probabilities[low:high]
            is_skip = space.skip is not None and choice.options[own.argmax()] == space.skip
            n = max(1 + is_skip, round(self.share * (own > -np.inf).sum()))
            narrowed[low + np.argsort(-own, kind="stable")[n:]] = -np.inf
        return narrowed

    def _with_few_skips(self, log_probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log probabilities with all skip connections but the likeliest at -inf."""
        space, first, skips = self.region.space, 0, []
        for choice in space.choices:
            own = log_probabilities[first : first + len(choice.options)]
            if space.skip in choice.options and np.isfinite(own).sum() > 1:
                skips.append(first + choice.options.index(space.skip))
            first += len(choice.options)
        few = log_probabilities.copy()
        few[sorted(skips, key=lambda option: -log_probabilities[option])[self.skips :]] = -np.inf
        return few
