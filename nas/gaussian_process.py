"""A Gaussian process over networks: what their choices and features say about a score, with its uncertainty."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from search_spaces import SearchSpace
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_JITTER = 1e-6
_SAMPLING_JITTER = 1e-5
"""More than that of a fit, whose rounding errors the covariances of samples inherit."""

_FAR = 40.0
_FITTED = 256
"""So many points at most decide the hyperparameters; all of them decide the predictions."""

_PRIOR = np.array([0.0, 0.0, 0.0, 0.0, 0.0, -3.0])
_PRIOR_DEVIATION = 3.0
"""Logarithms of what `_terms` multiplies and divides by, and of the noise's variance, for scores of variance 1."""


@dataclass(frozen=True)
class Inputs:
    """Networks as a Gaussian process sees them.

    Attributes:
        options: one-hot choices, (N, options).
        features: of the space, standardised, (N, F).
        n_choices: how many choices there are.
    """

    options: Floats
    features: Floats
    n_choices: int

    def __len__(self) -> int:
        return len(self.options)

    def __getitem__(self, rows: NDArray[np.int64]) -> "Inputs":
        return Inputs(self.options[rows], self.features[rows], self.n_choices)


class Encoder:
    """Turns populations into inputs; features are standardised by their mean and deviation over some networks."""

    def __init__(self, space: SearchSpace, population: Population) -> None:
        self._space = space
        features = space.features(population)
        self._mean, deviation = features.mean(axis=0), features.std(axis=0)
        self._scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(max(1, features.shape[1]))

    def __call__(self, population: Population) -> Inputs:
        """Return the inputs of a canonical population (N, choices): its options as they are, and those that matter."""
        described = [population, self._space.active(population)]
        options = np.concatenate([self._space.one_hot(rows) for rows in described], axis=1, dtype=np.float64)
        features = (self._space.features(population) - self._mean) / self._scale
        return Inputs(options, features, len(described) * population.shape[1])


class GaussianProcess:
    """Regression with a sum of three kernels.

    Linear in options and features (main effects), exponential in the number of choices that differ (interactions of
    any order), and Gaussian in the distance of features. The weights of the three, both length scales and the noise
    maximise the marginal likelihood under a wide prior (Rasmussen and Williams, 2006, chapter 5). A fit starts where
    the last one ended.
    """

    def __init__(self) -> None:
        self._logs = _PRIOR.copy()

    def fit(self, inputs: Inputs, values: Floats, rng: np.random.Generator) -> None:
        """Fit to values (N,) on any scale."""
        self._offset, self._scale = values.mean(), values.std() or 1.0
        values = (values - self._offset) / self._scale
        chosen = np.arange(len(inputs))
        if len(inputs) > _FITTED:
            chosen = rng.choice(len(inputs), _FITTED, replace=False)
        parts = _parts(inputs[chosen], inputs[chosen])
        fitted = optimize.minimize(
            _negative_log_posterior,
            self._logs,
            (parts, values[chosen]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-8.0, 5.0)] * len(_PRIOR),
            options={"maxiter": 20},
        )
        self._logs, self._inputs = fitted.x, inputs
        covariance = _kernel(_parts(inputs, inputs), self._logs)
        covariance[np.diag_indices(len(inputs))] += np.exp(self._logs[-1]) + _JITTER
        self._root = linalg.cholesky(covariance, lower=True)
        self._weights = linalg.cho_solve((self._root, True), values)

    @property
    def noise(self) -> float:
        """The variance of what no kernel explains: of a network's own, or of its evaluation."""
        return float(np.exp(self._logs[-1]) * self._scale**2)

    def predict(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Return the expected values (N,) and their standard deviations (N,), noise not included."""
        expected, solved = self._explained(inputs)
        weights = np.exp(self._logs)
        own = weights[0] * _squares(inputs) + weights[1] + weights[3]
        return expected, self._scale * np.sqrt(np.maximum(own - (solved**2).sum(axis=0), 0.0))

    def sample(self, inputs: Inputs, n: int, rng: np.random.Generator) -> Floats:
        """Return n values that each network may have together with the others, (n, N), noise included."""
        expected, solved = self._explained(inputs)
        covariance = _kernel(_parts(inputs, inputs), self._logs) - solved.T @ solved
        covariance[np.diag_indices(len(inputs))] += np.exp(self._logs[-1]) + _SAMPLING_JITTER
        root = linalg.cholesky(covariance, lower=True)
        return np.asarray(expected + self._scale * rng.normal(size=(n, len(inputs))) @ root.T)

    def _explained(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Return the expected values (N,), and the root (known, N) of what the known points explain of covariances."""
        across = _kernel(_parts(inputs, self._inputs), self._logs)
        solved = linalg.solve_triangular(self._root, across.T, lower=True, check_finite=False)
        return self._offset + self._scale * (across @ self._weights), solved


def _squares(inputs: Inputs) -> Floats:
    return np.asarray(1.0 + (inputs.features**2).sum(axis=1))


def _parts(rows: Inputs, columns: Inputs) -> tuple[Floats, Floats, Floats]:
    """Return what the kernels are functions of, (N, M) each.

    The scalar product, the share of the choices that differ, and the squared distance of the features.
    """
    agreeing = rows.options @ columns.options.T / rows.n_choices
    product = rows.features @ columns.features.T
    lengths = (rows.features**2).sum(axis=1)[:, None] + (columns.features**2).sum(axis=1)
    return agreeing + product, 1 - agreeing, np.maximum(lengths - 2 * product, 0.0)


def _kernel(parts: tuple[Floats, Floats, Floats], logs: Floats) -> Floats:
    """Return the covariances (N, M) for the logarithms of weights and length scales."""
    linear, exponential, gaussian = _terms(parts, logs)
    return linear + exponential + gaussian


def _terms(parts: tuple[Floats, Floats, Floats], logs: Floats) -> tuple[Floats, Floats, Floats]:
    product, differing, distance = parts
    linear, differing_weight, differing_scale, distance_weight, distance_scale, _ = np.exp(logs)
    return (
        linear * product,
        differing_weight * _decayed(2 * differing / differing_scale),
        distance_weight * _decayed(0.5 * distance / distance_scale),
    )


def _decayed(distances: Floats) -> Floats:
    """Return exp(-distances), never a subnormal number, which processors take long for."""
    return np.asarray(np.exp(-np.minimum(distances, _FAR)))


def _negative_log_posterior(logs: Floats, parts: tuple[Floats, Floats, Floats], values: Floats) -> tuple[float, Floats]:
    """Return the negative log posterior of the hyperparameters up to a constant, and its gradient."""
    linear, exponential, gaussian = _terms(parts, logs)
    noise = np.exp(logs[-1])
    covariance = linear + exponential + gaussian
    covariance[np.diag_indices(len(values))] += noise + _JITTER
    root = linalg.cholesky(covariance, lower=True)
    inverse = linalg.cho_solve((root, True), np.eye(len(values)))
    weights = inverse @ values
    outer = inverse - np.outer(weights, weights)
    of_exponential = exponential * (2 * parts[1] * np.exp(-logs[2]))
    of_gaussian = gaussian * (0.5 * parts[2] * np.exp(-logs[4]))
    terms = (linear, exponential, of_exponential, gaussian, of_gaussian)
    gradient = np.array([(outer * term).sum() for term in terms] + [noise * np.trace(outer)]) / 2
    excess = (logs - _PRIOR) / _PRIOR_DEVIATION
    loss = values @ weights / 2 + np.log(np.diag(root)).sum() + (excess**2).sum() / 2
    return float(loss), gradient + excess / _PRIOR_DEVIATION
