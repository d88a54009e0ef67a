"""Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011; Ozaki et al., JAIR 2022)."""

from optuna.samplers import BaseSampler, TPESampler
from pydantic.dataclasses import dataclass

from nas.optuna_study import OptunaStrategy


@dataclass(config={"extra": "forbid"})
class OptunaTPE(OptunaStrategy):
    """Draws options that are likelier among the good networks than among the others."""

    def _sampler(self, seed: int) -> BaseSampler:
        return TPESampler(seed=seed)
