"""pymoo's NSGA-II (Blank and Deb, IEEE Access 2020) as a strategy, to run it beside those of this project.

Takes `pip install pymoo`, as the extra `benchmarks` does.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.evaluator import Evaluator
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.problems.static import StaticProblem

from nas.optuna_study import is_of_numbers
from nas.pareto import Scores
from nas.strategy import Strategy
from search_spaces.plan_index import Population


class _Mutation(PM):  # type: ignore[misc]
    """Moves integers as pymoo's documentation does, and draws categories anew as its `ChoiceRandomMutation` does.

    That one is for arrays of objects, in which no numbers can be.

    Args:
        ordered: which choices are integers, (choices,).
    """

    def __init__(self, ordered: NDArray[np.bool_]) -> None:
        super().__init__(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair())
        self._ordered = ordered

    def _do(
        self, problem: Problem, X: Population, *args: Any, random_state: np.random.Generator, **kwargs: Any
    ) -> NDArray[np.float64]:
        moved = super()._do(problem, X, *args, random_state=random_state, **kwargs)
        is_anew = random_state.random(X.shape) < self.get_prob_var(problem, size=len(X))[:, None]
        anew = random_state.integers(problem.xu + 1, size=X.shape)
        return np.where(self._ordered, moved, np.where(is_anew, anew, X))


@dataclass(config={"extra": "forbid"})
class PymooNSGA2(Strategy):
    """Hands on what pymoo proposes, and what it is told; choices of numbers are integers to it, others categories.

    It knows no region: what it proposes outside is told as bad and by how much bounds are exceeded, and it is asked
    again, so that no evaluation is spent on that.

    Attributes:
        tries: generations outside the region in a row, after which the search ends.
    """

    tries: ClassVar[int] = 100
    multi_objective = True

    population: int = Field(default=50, ge=2, description="networks that live on, and children a generation")

    def _begin(self) -> None:
        self._asked: PymooPopulation | None = None
        n_options = self.region.space.n_options
        self._problem = Problem(
            n_var=len(n_options), n_obj=len(self.objectives), n_ieq_constr=1, xl=0, xu=n_options - 1, vtype=int
        )
        self._algorithm = NSGA2(
            pop_size=self.population,
            sampling=IntegerRandomSampling(),
            crossover=UX(repair=RoundingRepair()),
            mutation=_Mutation(np.array([is_of_numbers(choice) for choice in self.region.space.choices])),
        )
        seed = int(self.rng.integers(2**31))
        self._algorithm.setup(self._problem, termination=("n_gen", 1_000_000_000), seed=seed, verbose=False)

    def _ask(self) -> Population:
        rows = self.region.space.sample(0, self.rng)
        for _ in range(self.tries):
            self._asked = self._algorithm.ask()
            if self._asked is None:  # it found nothing that differs from its population
                break
            self._rows = self.region.space.canonical(self._asked.get("X").astype(np.int64))
            rows = self._rows[self.region.contains(self._rows)]
            if len(rows):
                break
            self._tell(rows, np.empty((0, len(self.objectives))), np.empty(0))
        return rows

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        if self._asked is None:  # it was chosen elsewhere
            return
        places = {row.tobytes(): place for place, row in enumerate(population)}
        losses = np.full((len(self._rows), len(self.objectives)), np.inf)
        excess = self.region.violations(self._rows)
        for i, row in enumerate(self._rows):
            if (place := places.get(row.tobytes())) is not None:
                losses[i], excess[i] = -scores[place], violations[place]
        results = StaticProblem(self._problem, F=np.nan_to_num(losses), G=np.nan_to_num(excess)[:, None])
        Evaluator().eval(results, self._asked)
        self._algorithm.tell(infills=self._asked)
