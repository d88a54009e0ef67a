"""An ensemble of small perceptrons as a strategy's model: what networks score, and how far the members disagree."""

import warnings

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from nas.gaussian_process import Floats, Inputs
from nas.pareto import Scores
from nas.surrogate import SurrogateStrategy
from search_spaces.plan_index import Population

_MEMBERS = 5
_HIDDEN = (20, 20)
_ITERATIONS = 40


class PerceptronEnsemble:
    """Perceptrons that differ in where their training began, after BANANAS (White et al., AAAI 2021)."""

    def fit(self, inputs: Inputs, values: Floats, rng: np.random.Generator) -> None:
        """Fit every member to all values (N, targets), two targets at least."""
        # here, as every command would else wait for scikit-learn at its start
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        self._offset, deviation = values.mean(axis=0), values.std(axis=0)
        self._scale = np.where(deviation > 0, deviation, 1.0)
        targets = (values - self._offset) / self._scale
        # The matrices are small: on a busy machine, threads that wait for each other take fifty times as long.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is part of the regularisation
            self._members = [
                MLPRegressor(
                    hidden_layer_sizes=_HIDDEN,
                    alpha=0.1,
                    solver="lbfgs",
                    max_iter=_ITERATIONS,
                    random_state=int(seed),
                ).fit(_columns(inputs), targets)
                for seed in rng.integers(2**31, size=_MEMBERS)
            ]

    def predict(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Return the members' means and their standard deviations, (N, targets) each."""
        columns = _columns(inputs)
        with threadpool_limits(1):
            outputs = np.stack([member.predict(columns) for member in self._members])
        return self._offset + self._scale * outputs.mean(axis=0), self._scale * outputs.std(axis=0)


class PerceptronStrategy(SurrogateStrategy):
    """Guesses scores and violations by an ensemble that is fitted anew to all that is known."""

    def _guess(self, population: Population) -> tuple[Scores, Scores, Floats]:
        """Return expected scores (N, objectives) on the model's scales, their deviations, and violations (N,)."""
        self._see()
        ensemble = PerceptronEnsemble()
        ensemble.fit(self._inputs, np.column_stack([self._seen, self._violation_ranks]), self.rng)
        means, deviations = ensemble.predict(self._encode(population))
        violations = np.maximum(means[:, -1] - self._kept_below, 0.0)
        means, deviations = means[:, :-1], deviations[:, :-1]
        for i, costs in self._predicted_costs(population).items():
            means[:, i], deviations[:, i] = self._scales[i](costs), 0.0
        return means, deviations, violations


def _columns(inputs: Inputs) -> Floats:
    return np.concatenate([inputs.options, *inputs.features], axis=1)
