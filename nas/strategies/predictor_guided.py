"""Predictor-guided search: a Gaussian process says what networks would add to the front, and those are evaluated.

Bayesian optimisation by expected hypervolume improvement (Daulton et al., NeurIPS 2020 and 2021), with the kernels,
the scale of scores and the candidates made for networks: choices, few of them known, many equal in what they compute.
"""

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from nas.gaussian_process import Floats, GaussianProcess
from nas.hypervolume_improvement import HypervolumeImprovement
from nas.pareto import Scores, constrained_ranks
from nas.surrogate import SurrogateStrategy
from search_spaces.plan_index import Population, distinct

_TYPICAL = 500
"""So many random networks say what the model expects of a typical one."""

_SAMPLES = 64
_COMPARED = 150
"""So many of the best candidates are compared together, by joint samples."""


@dataclass(config={"extra": "forbid"})
class PredictorGuided(SurrogateStrategy):
    """Proposes what a model of the scores so far expects to add most: for evaluations that are dear, and few.

    What counts is the volume that is dominated above a reference point: in the first objective what is expected of
    half of all networks, which keeps the search from the useless end of the front, in the others the worst so far. If
    no network within the limits is as good as that half, those within them count from their worst.
    What the model cannot explain counts as a network's own, so that one of two that compute the same may be better.
    """

    initial: int = Field(default=12, ge=2, description="random networks to begin with")
    batch: int = Field(default=5, ge=1, description="fewest networks proposed at a time")
    growth: float = Field(default=0.02, ge=0, le=1, description="networks proposed at a time, relative to those known")
    candidates: int = Field(default=500, ge=10, description="networks that are looked at in a generation")
    generations: int = Field(default=2, ge=0, description="generations of the evolution of candidates")

    def _start(self) -> None:
        self._models = [GaussianProcess() for _ in self.objectives]
        self._of_violations = GaussianProcess()

    def _ask(self) -> Population:
        n = max(self.batch, round(self.growth * len(self._rows)))
        missing = self.initial - len(self._rows)
        if missing > 0 or self._succeeded().sum() < 2:
            return self._random(max(n, missing))
        with threadpool_limits(1):  # matrices are small, and threads that wait for each other on a busy machine slow
            self._fit()
            pool = self._candidates(n)
            return pool[self._best_together(pool, n)] if len(pool) else pool

    def _fit(self) -> None:
        """Fit a model to each score that no cost model predicts, and one to the violations if there are any."""
        self._see()
        for objective, model, values in zip(self.objectives, self._models, self._seen.T, strict=True):
            if objective.model is None:
                model.fit(self._inputs, values, self.rng)
        if not self._kept.all():
            self._of_violations.fit(self._inputs, self._violation_ranks, self.rng)
        typical = self._expected(self.region.space.canonical(self.region.sample(_TYPICAL, self.rng)))[0][:, 0]
        reference = np.array([self._floor(float(np.median(typical))), *self._seen[:, 1:].min(axis=0)])
        self._improvement = HypervolumeImprovement(self._seen[self._kept], reference)

    def _floor(self, typical: float) -> float:
        """Return where the first objective begins to count: a typical score, or the worst if limits keep all below."""
        within = self._seen[self._kept, 0]
        if within.max(initial=-np.inf) >= typical:
            return typical
        return float((within if len(within) else self._seen[:, 0]).min())

    def _expected(self, population: Population) -> tuple[Scores, Scores]:
        """Return the expected scores (N, objectives) on the models' scale, and their deviations, noise included."""
        inputs, costs = self._encode(population), self._predicted_costs(population)
        means, deviations = np.zeros((2, len(population), len(self.objectives)))
        for i, model in enumerate(self._models):
            if i in costs:
                means[:, i] = self._scales[i](costs[i])
            else:
                means[:, i], deviation = model.predict(inputs)
                deviations[:, i] = np.sqrt(deviation**2 + model.noise)
        return means, deviations

    def _keeping(self, population: Population) -> Floats:
        """Return the probabilities (N,) that networks keep the limits."""
        if self._kept.all():
            return np.ones(len(population))
        mean, deviation = self._of_violations.predict(self._encode(population))
        deviation = np.sqrt(deviation**2 + self._of_violations.noise)
        return np.asarray(scipy.special.ndtr((self._kept_below - mean) / deviation))

    def _candidates(self, n: int) -> Population:
        """Return unknown networks, best first: an evolution by what each is expected to add."""
        pool, gains = self._rows[:0], np.empty(0)
        bred = np.concatenate([self._neighbours(), self.region.sample(self.candidates, self.rng)])
        for _ in range(self.generations + 1):
            bred = self._unknown(bred)
            if len(bred):
                gain = self._improvement.expected(*self._expected(bred)) * self._keeping(bred)
                pool, gains = np.concatenate([pool, bred]), np.concatenate([gains, gain])
            first = distinct(pool)
            first = first[np.argsort(-gains[first], kind="stable")][: max(self.candidates, n)]
            pool, gains = pool[first], gains[first]
            self._parents = np.concatenate([pool[: max(10, self.candidates // 5)], self._front()])
            bred = self.region.breed(self.candidates, self._children, self.rng)
        return pool

    def _best_together(self, pool: Population, n: int) -> NDArray[np.int64]:
        """Return the indices of n of the candidates that add most together; if too few add anything, the first ones."""
        compared = pool[: max(_COMPARED, n)]
        inputs, costs = self._encode(compared), self._predicted_costs(compared)
        samples = np.stack(
            [
                np.tile(self._scales[i](costs[i]), (_SAMPLES, 1))
                if i in costs
                else model.sample(inputs, _SAMPLES, self.rng)
                for i, model in enumerate(self._models)
            ],
            axis=2,
        )
        chosen = self._improvement.best_together(samples, self._keeping(compared), n)
        others = np.setdiff1d(np.arange(len(compared)), chosen)
        return np.concatenate([chosen, others[: n - len(chosen)]])

    def _front(self) -> Population:
        return np.asarray(self._rows[constrained_ranks(self._scores, self._violations) == 0])

    def _neighbours(self) -> Population:
        """Return networks that differ from one of the front in one choice; not all of them if they are too many."""
        members = self.rng.permutation(self._front())
        n_neighbours = max(1, int((self.region.space.n_options - 1).sum()))
        members = members[: -(-2 * self.candidates // n_neighbours)]
        return np.concatenate([members, *(self.region.space.neighbours(row) for row in members)])

    def _children(self, n: int) -> Population:
        space = self.region.space
        mothers, fathers = self._parents[self.rng.integers(len(self._parents), size=(2, n))]
        crossed = self.rng.random((n, 1)) < 0.5
        return np.where(crossed, space.crossover(mothers, fathers, self.rng), space.step(mothers, self.rng))
