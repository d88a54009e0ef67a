"""Optuna's CMA-ES (Hansen and Ostermeier, Evol. Computation 2001), for integers (Hamano et al., GECCO 2022)."""

from typing import ClassVar

from optuna.samplers import BaseSampler, CmaEsSampler
from pydantic.dataclasses import dataclass

from nas.optuna_study import OptunaStrategy, is_of_numbers
from search_spaces import SearchSpace


@dataclass(config={"extra": "forbid"})
class OptunaCMAES(OptunaStrategy):
    """Adapts a normal distribution over the choices of numbers; those of other options are drawn one by one."""

    multi_objective = False
    learns_bounds: ClassVar[bool] = False

    @classmethod
    def lacks(cls, space: SearchSpace) -> str | None:
        adapted = any(is_of_numbers(choice) and len(choice.options) > 1 for choice in space.choices)
        return None if adapted else "choices of numbers"

    def _sampler(self, seed: int) -> BaseSampler:
        return CmaEsSampler(seed=seed, with_margin=True, warn_independent_sampling=False)
