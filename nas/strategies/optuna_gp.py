"""Optuna's Gaussian process with the logarithm of expected improvement (Ament et al., NeurIPS 2023)."""

from typing import ClassVar

from optuna.samplers import BaseSampler, GPSampler
from pydantic.dataclasses import dataclass

from nas.optuna_study import OptunaStrategy


@dataclass(config={"extra": "forbid"})
class OptunaGP(OptunaStrategy):
    """Models scores by a Gaussian process and proposes what may improve on the best."""

    tries: ClassVar[int] = 2  # each takes about a second

    def _sampler(self, seed: int) -> BaseSampler:
        return GPSampler(seed=seed, warn_independent_sampling=False)
