"""Optuna's NSGA-III (Deb and Jain, IEEE Trans. Evol. Computation 2014)."""

from optuna.samplers import BaseSampler, NSGAIIISampler
from pydantic.dataclasses import dataclass

from nas.optuna_study import OptunaStrategy


@dataclass(config={"extra": "forbid"})
class OptunaNSGA3(OptunaStrategy):
    """As NSGA-II, but keeps networks near directions that are spread evenly over the objectives."""

    def _sampler(self, seed: int) -> BaseSampler:
        return NSGAIIISampler(seed=seed)
