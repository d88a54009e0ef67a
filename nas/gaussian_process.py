"""A Gaussian process over networks: what their choices and features say about a score, with its uncertainty."""

from collections.abc import Iterator
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

_NOISE_PRIOR = -3.0
_PRIOR_DEVIATION = 3.0
"""Logarithms of the noise's variance, for scores of variance 1, and of what kernels multiply and divide by: mean 0."""


@dataclass(frozen=True)
class Inputs:
    """Networks as a Gaussian process sees them.

    Attributes:
        options: one-hot choices, (N, options).
        features: (N, F) each, of lengths about 1: the space's features, standardised, and its sequences.
        n_choices: how many choices there are.
    """

    options: Floats
    features: tuple[Floats, ...]
    n_choices: int

    def __len__(self) -> int:
        return len(self.options)

    def __getitem__(self, rows: NDArray[np.int64]) -> "Inputs":
        return Inputs(self.options[rows], tuple(group[rows] for group in self.features), self.n_choices)


class Encoder:
    """Turns populations into inputs; features are standardised by their mean and deviation over some networks."""

    def __init__(self, space: SearchSpace, population: Population) -> None:
        self._space = space
        features, sequences = space.features(population), space.sequences(population)
        self._mean, deviation = features.mean(axis=0), features.std(axis=0)
        self._scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(max(1, features.shape[1]))
        self._length = np.sqrt((sequences**2).sum(axis=1).mean()) or 1.0

    def __call__(self, population: Population) -> Inputs:
        """Return the inputs of a canonical population (N, choices): its options as they are, and those that matter."""
        described = [population, self._space.active(population)]
        options = np.concatenate([self._space.one_hot(rows) for rows in described], axis=1, dtype=np.float64)
        features = (self._space.features(population) - self._mean) / self._scale
        sequences = self._space.sequences(population) / self._length
        groups = tuple(group for group in (features, sequences) if group.shape[1])
        return Inputs(options, groups, len(described) * population.shape[1])


class GaussianProcess:
    """Regression with a sum of kernels.

    Linear in options (main effects), exponential in the number of choices that differ (interactions of any order), and
    for each group of features linear, and Gaussian in their distance. The weights of all, the length scales and the
    noise maximise the marginal likelihood under a wide prior (Rasmussen and Williams, 2006, chapter 5). A fit starts
    where the last one ended.
    """

    def __init__(self) -> None:
        self._logs = np.empty(0)

    def fit(self, inputs: Inputs, values: Floats, rng: np.random.Generator) -> None:
        """Fit to values (N,) on any scale."""
        self._offset, self._scale = values.mean(), values.std() or 1.0
        values = (values - self._offset) / self._scale
        chosen = np.arange(len(inputs))
        if len(inputs) > _FITTED:
            chosen = rng.choice(len(inputs), _FITTED, replace=False)
        parts = _parts(inputs[chosen], inputs[chosen])
        prior = np.append(np.zeros(sum(part.n_logs for part in parts)), _NOISE_PRIOR)
        fitted = optimize.minimize(
            _negative_log_posterior,
            self._logs if len(self._logs) else prior,
            (prior, parts, values[chosen]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-8.0, 5.0)] * len(prior),
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
        own = _kernel(_own_parts(inputs), self._logs)
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


@dataclass(frozen=True)
class _Part:
    """What a kernel is a function of: products (N, M) that it is a multiple of, or distances with which it decays."""

    values: Floats
    decays: bool

    @property
    def n_logs(self) -> int:
        """How many numbers it is given, as logarithms: its weight, and a length scale if it decays."""
        return 2 if self.decays else 1

    def kernel(self, logs: Floats) -> Floats:
        """Return the covariances (N, M)."""
        if not self.decays:
            return np.asarray(np.exp(logs[0]) * self.values)
        # never a subnormal number, which processors take long for
        return np.asarray(np.exp(logs[0] - np.minimum(self.values * np.exp(-logs[1]), _FAR)))

    def derivatives(self, kernel: Floats, logs: Floats) -> list[Floats]:
        """Return the derivatives (N, M) of the covariances by each logarithm."""
        return [kernel, kernel * (self.values * np.exp(-logs[1]))] if self.decays else [kernel]


def _parts(rows: Inputs, columns: Inputs) -> list[_Part]:
    """Return what the kernels are functions of: of options, and of each group of features."""
    agreeing = rows.options @ columns.options.T / rows.n_choices
    parts = [_Part(agreeing, decays=False), _Part(2 * (1 - agreeing), decays=True)]
    for ours, theirs in zip(rows.features, columns.features, strict=True):
        product = ours @ theirs.T
        lengths = (ours**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1)
        parts += [_Part(product, decays=False), _Part(np.maximum(lengths / 2 - product, 0.0), decays=True)]
    return parts


def _own_parts(inputs: Inputs) -> list[_Part]:
    """Return the same of each network with itself, (N,): the diagonals."""
    near = np.zeros(len(inputs))
    parts = [_Part(near + 1, decays=False), _Part(near, decays=True)]
    for group in inputs.features:
        parts += [_Part((group**2).sum(axis=1), decays=False), _Part(near, decays=True)]
    return parts


def _kernels(parts: list[_Part], logs: Floats) -> Iterator[tuple[_Part, Floats, Floats]]:
    """Yield each part with its logarithms and its covariances."""
    first = 0
    for part in parts:
        own = logs[first : first + part.n_logs]
        yield part, own, part.kernel(own)
        first += part.n_logs


def _kernel(parts: list[_Part], logs: Floats) -> Floats:
    """Return the covariances (N, M) for the logarithms of weights and length scales, and the noise's, which is left."""
    return np.asarray(sum(kernel for *_, kernel in _kernels(parts, logs)))


def _negative_log_posterior(logs: Floats, prior: Floats, parts: list[_Part], values: Floats) -> tuple[float, Floats]:
    """Return the negative log posterior of the hyperparameters up to a constant, and its gradient."""
    kernels = list(_kernels(parts, logs))
    covariance = np.asarray(sum(kernel for *_, kernel in kernels))
    terms = [term for part, own, kernel in kernels for term in part.derivatives(kernel, own)]
    noise = np.exp(logs[-1])
    covariance[np.diag_indices(len(values))] += noise + _JITTER
    root = linalg.cholesky(covariance, lower=True)
    inverse = linalg.cho_solve((root, True), np.eye(len(values)))
    weights = inverse @ values
    outer = inverse - np.outer(weights, weights)
    gradient = np.array([np.vdot(outer, term) for term in terms] + [noise * np.trace(outer)]) / 2
    excess = (logs - prior) / _PRIOR_DEVIATION
    loss = values @ weights / 2 + np.log(np.diag(root)).sum() + (excess**2).sum() / 2
    return float(loss), gradient + excess / _PRIOR_DEVIATION
