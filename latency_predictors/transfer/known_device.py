"""A device that was measured often, as others learn from it: what each feature of a network adds to its latency."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from latency_predictors.learned.features import Features
from latency_predictors.learned.measured_networks import MeasuredNetworks, read_measured_networks
from latency_predictors.table.latency_table import read_table
from latency_predictors.table.rows import LatencyColumn
from search_spaces import SearchSpace
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_DESCRIPTORS, _DEPARTURES = (0.1, 1.0, 10.0), (1e-6, 0.03, 0.3, 3.0, 30.0)
_NOISE = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Prior deviations of coefficients, relative to the mean latency, and of what they leave unexplained of a latency."""

_DEGREES = 4.0
"""Of freedom, of Student's distribution."""

_DEVIATION = 1.4826
"""Of a normal distribution, in medians of its absolute values."""

_EXACT = 1e-6
_PASSES = 4
_FEWEST, _TABULATED = 10, 300
_LEAST = 0.2
"""Below this share of the median, errors count relative to it: networks that do next to nothing."""


@dataclass(frozen=True)
class KnownDevice:
    """What a device's latencies in a space come to.

    Attributes:
        name: of the device.
        form: in which its runtime runs networks.
        coefficients: (features,) in ms; see `Features`.
        population: what was measured, (N, choices).
        latencies_ms: of that, (N,).
    """

    name: str
    form: str
    coefficients: Floats
    population: Population
    latencies_ms: Floats

    def predict(self, features: Features, population: Population) -> Floats:
        """Return expected latencies (N,) in ms of a population (N, choices)."""
        return np.asarray(features(population, self.form) @ self.coefficients)


def fit_device(features: Features, name: str, population: Population, latencies_ms: Floats) -> KnownDevice:
    """Return what measured networks (N, choices) and their latencies (N,) say of a device.

    A Bayesian linear model; the prior and the noise are those of the greatest marginal likelihood, the form is that of
    the greatest likelihood. Errors count relative to latencies and are of Student's distribution: on phones, one
    network in a hundred is far off.
    """
    values = latencies_ms / latencies_ms.mean()
    weights = 1 / np.maximum(values, _LEAST * np.median(values)) ** 2
    best: tuple[float, str, Floats] | None = None
    for form in features.forms:
        rows = features(population, form)
        robust = np.ones(len(values))
        for _ in range(_PASSES):
            coefficients = _expected(features, rows, values, weights * robust)
            residuals = (values - rows @ coefficients) * np.sqrt(weights)
            scale = max(float(np.median(np.abs(residuals))) * _DEVIATION, _EXACT)
            robust = (_DEGREES + 1) / (_DEGREES + (residuals / scale) ** 2)
        likelihood = (_DEGREES + 1) / 2 * float(np.log(robust).sum()) - len(values) * float(np.log(scale))
        if best is None or likelihood > best[0]:
            best = likelihood, form, coefficients
    assert best is not None
    return KnownDevice(name, best[1], best[2] * latencies_ms.mean(), population, latencies_ms)


def read_known_networks(paths: Sequence[Path], space: SearchSpace, column: LatencyColumn) -> list[MeasuredNetworks]:
    """Return what is known of devices, by files of measured networks or by output directories of `nas profile`.

    Of a table, it is the latencies that it predicts for random networks.

    Raises:
        InputError: a file cannot be read, holds too few networks, is of another space, or has the name of another.
    """
    found = [_read(path, space, column) for path in paths]
    names = [measured.name for measured in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two known devices are called {name}, as their files are: rename one")
    return found


def _read(path: Path, space: SearchSpace, column: LatencyColumn) -> MeasuredNetworks:
    if path.is_dir():
        population = np.unique(space.canonical(space.sample(_TABULATED, np.random.default_rng(0))), axis=0)
        table = read_table(path)
        return MeasuredNetworks(path.name, population, table.cost_model(space).predict(population))
    return read_measured_networks(path, space, column, _FEWEST)


def fit_devices(features: Features, known: Sequence[MeasuredNetworks]) -> list[KnownDevice]:
    """Return what the networks of each of some devices say of it; see `fit_device`."""
    return [fit_device(features, one.name, one.population, one.latencies_ms) for one in known]


def _expected(features: Features, rows: Floats, values: Floats, weights: Floats) -> Floats:
    """Return the expected coefficients for the prior and the noise of the greatest marginal likelihood."""
    gram, moment = (rows.T * weights) @ rows, rows.T @ (weights * values)
    square = float(values @ (weights * values))
    best: tuple[float, Floats] | None = None
    for descriptors, departures in itertools.product(_DESCRIPTORS, _DEPARTURES):
        precision = 1 / features.variances(descriptors**2, departures**2)
        for noise in _NOISE:
            root = linalg.cholesky(gram / noise**2 + np.diag(precision), lower=True)
            coefficients = linalg.cho_solve((root, True), moment / noise**2)
            evidence = np.log(precision).sum() / 2 - np.log(np.diag(root)).sum() - len(values) * np.log(noise)
            evidence -= (square - moment @ coefficients) / noise**2 / 2
            if best is None or evidence > best[0]:
                best = float(evidence), coefficients
    assert best is not None
    return best[1]


def resemblance(features: Features, latencies_ms: Floats, known: Sequence[KnownDevice]) -> dict[str, float]:
    """Return how much of each known device adds up to a device, by name: positive; most are left out.

    What they add up to in one space, they are expected to add up to in another.

    Args:
        features: of the space.
        latencies_ms: of the device, for `features.reference`, (R,).
        known: the others.
    """
    if not known:
        return {}
    columns = [device.predict(features, features.reference) / latencies_ms for device in known]
    weights, _ = optimize.nnls(np.stack(columns, axis=1), np.ones(len(latencies_ms)))
    return {device.name: weight for device, weight in zip(known, weights.tolist(), strict=True) if weight > 0}
