"""Optuna's NSGA-II (Deb et al., IEEE Trans. Evol. Computation 2002)."""

from optuna.samplers import BaseSampler, NSGAIISampler
from pydantic.dataclasses import dataclass

from nas.optuna_study import OptunaStrategy


@dataclass(config={"extra": "forbid"})
class OptunaNSGA2(OptunaStrategy):
    """Breeds the next generation from the fronts of the last."""

    def _sampler(self, seed: int) -> BaseSampler:
        return NSGAIISampler(seed=seed)
