"""Latencies on a new device from a few measurements and what other devices are known to need.

Devices are draws from a distribution: what each feature of a network adds to a latency differs from one to the next, the
more so along directions in which known devices differ from each other. The distribution's spread, the form in which the
new device's runtime runs networks, and which of the others it resembles are uncertain; all combinations take part, each
with the weight that the measurements give it (Rasmussen and Williams, 2006, chapters 2 and 5).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latency_predictors.features import Features
from latency_predictors.known_device import KnownDevice
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_SPREADS = (0.1, 0.3, 1.0)
_DESCRIPTORS = (0.03, 0.1, 0.3, 1.0)
_OPTIONS = (0.0, 0.02, 0.07, 0.2)
_NOISES = (0.002, 0.01, 0.03, 0.06, 0.12, 0.25)
_GRID = np.array(list(itertools.product(_SPREADS, _DESCRIPTORS, _OPTIONS, _NOISES)))
"""Prior deviations (rows, 4), relative to the mean latency: along what known devices differ in, of the coefficients of
descriptors, of those of options, and of what no features explain."""

_TYPICAL = np.array([0.3, 0.2, 0.04, 0.05])

_LEAST = 0.1
"""Of the noise, for networks that do next to nothing."""

_DEGREES = 4.0
_PASSES = 3
"""Student's distribution of the noise, and how often its weights are found anew."""

_JITTER = 1e-8
_KEPT = 0.995
"""So much of the weight is followed up."""


@dataclass(frozen=True)
class Posterior:
    """What is believed of a device's coefficients in each form.

    Attributes:
        forms: the probability of each form.
        means: (forms, features), the expected coefficients in ms, times the form's probability.
        squares: (forms, features, features), their expected products in ms^2, times the form's probability.
        noise: expected square of what no features explain, relative to the latency.
        resembles: the share that each known device has in what the measurements were found to be like.
    """

    forms: dict[str, float]
    means: Floats
    squares: Floats
    noise: float
    resembles: dict[str, float]


class Transfer:
    """What known devices say of unknown ones, in one space.

    Args:
        features: of the space.
        known: devices measured often in this space.
    """

    def __init__(self, features: Features, known: Sequence[KnownDevice]) -> None:
        self.features = features
        self.known = tuple(known)

    def posterior(self, population: Population, latencies_ms: Floats) -> Posterior:
        """Return what measured networks (k, choices) and their latencies (k,) say of a device."""
        uncertainty = np.ones(len(latencies_ms))
        for _ in range(_PASSES):
            found = self._posterior(population, latencies_ms, uncertainty)
            expected, _ = predict(self.features, found, population)
            deviations = (latencies_ms / np.maximum(expected, 1e-9) - 1) / np.sqrt(found.noise)
            uncertainty = np.maximum((_DEGREES + deviations**2) / (_DEGREES + 1), 1.0)
        return self._posterior(population, latencies_ms, uncertainty)

    def _posterior(self, population: Population, latencies_ms: Floats, uncertainty: Floats) -> Posterior:
        scale = float(np.median(latencies_ms))
        values = latencies_ms / scale
        parts = [_Part(self, form, self.features(population, form)) for form in self.features.forms]
        logs = np.stack([part.fit(values, uncertainty) for part in parts])  # (forms, grid, centres)
        logs += np.log(self.form_weights())[:, None, None] + np.log(self._centre_weights())
        weights = np.exp(logs - logs.max())
        weights /= weights.sum()
        moments = [part.moments(weight) for part, weight in zip(parts, weights, strict=True)]
        by_centre = weights.sum(axis=(0, 1))
        return Posterior(
            dict(zip(self.features.forms, weights.sum(axis=(1, 2)).tolist(), strict=True)),
            np.stack([mean for mean, _ in moments]) * scale,
            np.stack([square for _, square in moments]) * scale**2,
            float(weights.sum(axis=(0, 2)) @ _GRID[:, 3] ** 2),
            dict(zip(("all", *(device.name for device in self.known)), by_centre.tolist(), strict=True)),
        )

    def prior(self, population: Population) -> tuple[Floats, Floats]:
        """Return what is expected of networks (N, choices) before any is measured, (N,), and covariances (N, N).

        Relative to the mean latency; for spreads in the middle of those that are thought possible.
        """
        n = len(population)
        mean, square = np.zeros(n), np.zeros((n, n))
        for form, weight in zip(self.features.forms, self.form_weights(), strict=True):
            part = _Part(self, form, self.features(population, form))
            expected = part.expected[0]
            mean += weight * expected
            square += weight * (part.covariance(_TYPICAL) + np.outer(expected, expected))
        return mean, square - np.outer(mean, mean)

    def form_weights(self) -> Floats:
        """Return the prior probability of each form: as often as known devices have it, and once more."""
        counts = np.array([1 + sum(device.form == form for device in self.known) for form in self.features.forms])
        return counts / counts.sum()

    def _centre_weights(self) -> Floats:
        n = len(self.known)
        return np.array([0.5, *[0.5 / n] * n]) if n else np.ones(1)


class _Part:
    """The hypotheses that share a form.

    Args:
        transfer: whose hypotheses they are.
        form: of the networks.
        rows: features (n, features) of the measured networks.
    """

    def __init__(self, transfer: Transfer, form: str, rows: Floats) -> None:
        features = transfer.features
        known = [device.coefficients / np.median(rows @ device.coefficients) for device in transfer.known]
        flat = np.zeros(features.n)
        flat[: features.n_descriptors] = 1 / np.sqrt(features.n_descriptors)
        average = np.mean(known, axis=0) if known else flat
        self._rows = rows
        self._centres = np.stack([average, *known])  # (centres, features)
        self._directions = np.stack([average, *(device - average for device in known)])
        self._described = features.variances(1.0, 0.0)
        self.expected = self._centres @ rows.T  # (centres, n)
        spread, described = self._directions @ rows.T, rows * self._described
        options = rows * (1 - self._described)
        self._kernels = np.stack([spread.T @ spread, described @ described.T, options @ options.T])

    def covariance(self, deviations: Floats) -> Floats:
        """Return the prior covariances (n, n) of the networks' latencies, noise apart, for a row of the grid."""
        return np.asarray(np.tensordot(deviations[:3] ** 2, self._kernels, 1))

    def fit(self, values: Floats, uncertainty: Floats) -> Floats:
        """Return the log marginal likelihoods (grid, centres) of latencies (n,), whose noise is uncertainty times."""
        n = len(values)
        covariances = np.einsum("gp,pij->gij", _GRID[:, :3] ** 2, self._kernels)
        noise = np.maximum(self.expected[0], _LEAST) ** 2 * uncertainty
        covariances[:, np.arange(n), np.arange(n)] += _GRID[:, 3, None] ** 2 * noise + _JITTER
        self._missing = values - self.expected  # (centres, n)
        self._covariances = covariances
        roots = np.linalg.cholesky(covariances)
        whitened = np.linalg.solve(roots, np.broadcast_to(self._missing.T, (len(_GRID), n, len(self.expected))))
        logdet = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
        return np.asarray(-(whitened**2).sum(axis=1) / 2 - logdet[:, None])

    def moments(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return the sum over hypotheses (grid, centres) of weight times expected coefficients, and products."""
        n = self._rows.shape[1]
        mean, square = np.zeros(n), np.zeros((n, n))
        of_grid = weights.sum(axis=1)
        order = np.argsort(-of_grid)
        kept = order[: int(np.searchsorted(np.cumsum(of_grid[order]), _KEPT * of_grid.sum())) + 1]
        factor = of_grid.sum() / max(of_grid[kept].sum(), 1e-300)
        for g in kept:
            spread, descriptors, options, _ = _GRID[g] ** 2
            diagonal = descriptors * self._described + options * (1 - self._described)
            across = spread * self._directions.T @ (self._directions @ self._rows.T) + diagonal[:, None] * self._rows.T
            gain = np.linalg.solve(self._covariances[g], across.T).T  # (features, k)
            found = self._centres + self._missing @ gain.T  # (centres, features)
            mean += factor * weights[g] @ found
            left = spread * self._directions.T @ self._directions - gain @ across.T
            left[np.diag_indices(n)] += diagonal
            square += factor * (of_grid[g] * left + (found.T * weights[g]) @ found)
        return mean, square


def predict(features: Features, posterior: Posterior, population: Population) -> tuple[Floats, Floats]:
    """Return the expected latencies (N,) in ms of a population (N, choices) and their deviations, noise included."""
    mean, square = np.zeros(len(population)), np.zeros(len(population))
    for form, coefficients, products in zip(posterior.forms, posterior.means, posterior.squares, strict=True):
        rows = features(population, form)
        mean += rows @ coefficients
        square += np.einsum("np,pq,nq->n", rows, products, rows, optimize=True)
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0) + posterior.noise * mean**2)
