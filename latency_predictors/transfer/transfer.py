"""Latencies on a new device from a few measurements and what other devices are known to need.

Devices are draws from a distribution: what each feature of a network adds to a latency differs from one to the next,
the more so along directions in which known devices differ from each other. The distribution's spread, the form in
which the new device's runtime runs networks, and which device it resembles are uncertain; all combinations take part,
each with the weight that the measurements give it (Rasmussen and Williams, 2006, chapters 2 and 5). Besides known
devices, it may resemble one that launches, multiply-adds or memory alone bound (Williams et al., CACM 2009).
"""

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latency_predictors.learned.features import Features
from latency_predictors.learned.predicted_cost import COVERAGE
from latency_predictors.transfer.known_device import KnownDevice
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_GRID = np.array(
    list(
        itertools.product(
            (0.1, 0.3, 1.0),  # along what known devices differ in
            (0.03, 0.1, 0.3, 1.0),  # of the coefficients of descriptors
            (0.0, 0.1, 0.3, 1.0),  # of the departures of blocks
            (0.002, 0.01, 0.03, 0.06, 0.12, 0.25),  # of what no features explain
        )
    )
)
"""Prior deviations (hypotheses, 4), relative to the latency."""

_TYPICAL = np.array([0.3, 0.2, 0.2, 0.05])

_LEAST = 0.1
"""Of the noise, for networks that do next to nothing."""

_DEGREES = 4.0
_PASSES = 3
"""Student's distribution of the noise, and how often its weights are found anew."""

_KEPT = 0.995
"""Hypotheses of so much of the weight are followed up."""

_JITTER = 1e-8

_AVERAGE, _ELSEWHERE = "the average", "elsewhere"
"""What a device may resemble beside known devices and bounds: these together, and what they add up to elsewhere."""

NORMAL = 1.645
"""Deviations to either side of a normal distribution's middle that hold `COVERAGE` of it."""

CANDIDATES = 300
"""Networks of which those to measure are chosen."""

MOST = CANDIDATES
"""Measured networks that known devices are transferred to: time grows with their cube, and what known devices add
dwindles."""

_HELD = 1 << 22
"""Numbers of covariances that are held at a time."""

_DRAWS = 3
_FEWEST_TESTED = 10
"""Networks of a known device beside those that stand for the measured ones."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Posterior:
    """What is believed of a device's coefficients.

    Attributes:
        forms: the probability of each form.
        means: (forms, features), the expected coefficients in ms, times the form's probability.
        products: (forms, features, features), their expected products in ms^2, times the form's probability.
        noise: expected square of what no features explain, relative to the latency.
        resembles: the probability that the device is like each other one, or like the average of the known.
    """

    forms: dict[str, float]
    means: Floats
    products: Floats
    noise: float
    resembles: dict[str, float]

    def mean(self, features: Features, population: Population) -> Floats:
        """Return expected latencies (N,) in ms of a population (N, choices), without their deviations."""
        pairs = zip(self.forms, self.means, strict=True)
        return np.asarray(sum(features(population, form) @ coefficients for form, coefficients in pairs))

    def predict(self, features: Features, population: Population) -> tuple[Floats, Floats]:
        """Return expected latencies (N,) in ms of a population (N, choices) and deviations (N,), noise included."""
        mean, square = np.zeros(len(population)), np.zeros(len(population))
        for form, coefficients, products in zip(self.forms, self.means, self.products, strict=True):
            rows = features(population, form)
            mean += rows @ coefficients
            square += ((rows @ products) * rows).sum(axis=1)
        return mean, np.sqrt(np.maximum(square - mean**2, 0.0) + self.noise * mean**2)


Chooser = Callable[["Transfer", Population, int], NDArray[np.int64]]
"""Returns the places (k,) of candidates (N, choices) to measure."""


class Transfer:
    """What known devices say of unknown ones, in one space.

    Args:
        features: of the space.
        known: devices measured often in this space; there may be none.
        resembles: what a new device was found to add up to in another space, by name; see `resemblance`.

    Attributes:
        features: as given.
        known: as given.

    Raises:
        InputError: a known device has the name of something else that a device may resemble.
    """

    def __init__(
        self, features: Features, known: Sequence[KnownDevice], resembles: Mapping[str, float] | None = None
    ) -> None:
        self.features = features
        self.known = tuple(known)
        names = [device.name for device in known]
        centres = [device.coefficients for device in known]
        forms = np.array([1.0 + sum(device.form == form for device in known) for form in features.forms])
        bounds = features.bounds()
        for name in names:
            if name in (_AVERAGE, _ELSEWHERE, *bounds):
                raise InputError(f"known device {name}: what is no device is called that, too; rename its file")
        if resembles:
            names.append(_ELSEWHERE)
            centres.append(np.sum([share * centres[names.index(name)] for name, share in resembles.items()], axis=0))
            for device in known:
                share = resembles.get(device.name, 0.0) / sum(resembles.values())
                forms[features.forms.index(device.form)] += share * len(known)
        self._names = (_AVERAGE, *names, *bounds)
        self.coefficients = np.stack([*centres, *bounds.values()])
        n = len(self.coefficients)
        self._resembles = np.array([0.5, *[0.5 / n] * n])
        if resembles:
            self._resembles = self._resembles / 2
            self._resembles[self._names.index(_ELSEWHERE)] += 0.5
        self._forms = forms / forms.sum()

    def factor(self, k: int, choose: Chooser) -> float:
        """Return by how much to multiply deviations so that they hold 90 % of a new device's latencies.

        Found by leaving each known device out and predicting it from k of its measurements, as they are chosen for a
        new device, some times over. Known devices resemble each other more than a new one need resemble them, so
        intervals are never narrower than they would be had deviations been right. Devices of which too few networks
        are known say nothing of it.
        """
        rng = np.random.default_rng(0)
        ratios = [np.full(1, NORMAL)]
        tested = [device for device in self.known if len(device.latencies_ms) >= k + _FEWEST_TESTED]
        if self.known and not tested:
            logger.warning(
                "no known device has %d networks beside the %d measured here: how often intervals hold is not tested",
                _FEWEST_TESTED,
                k,
            )
        for device in tested:
            rest = Transfer(self.features, [other for other in self.known if other is not device])
            for _ in range(_DRAWS):
                drawn = rng.permutation(len(device.latencies_ms))[: k + CANDIDATES]
                places = drawn[choose(rest, device.population[drawn], k)]
                others = np.setdiff1d(drawn, places)
                found = rest.posterior(device.population[places], device.latencies_ms[places])
                mean, deviation = found.predict(self.features, device.population[others])
                ratios.append(np.abs(device.latencies_ms[others] - mean) / deviation)
        return max(NORMAL, float(np.quantile(np.concatenate(ratios), COVERAGE)))

    def posterior(self, population: Population, latencies_ms: Floats) -> Posterior:
        """Return what measured networks (k, choices) and their latencies (k,) say of a device."""
        scale = float(np.median(latencies_ms))
        values = latencies_ms / scale
        parts = [_Part(self, form, population) for form in self.features.forms]
        hypotheses, uncertainty = np.arange(len(_GRID)), np.ones(len(values))
        for _ in range(_PASSES):
            fits = [part.fit(hypotheses, values, uncertainty) for part in parts]
            weights = self._weights(fits)
            residuals = np.sum([fit.residuals(weight) for fit, weight in zip(fits, weights, strict=True)], axis=0)
            noise = weights.sum(axis=(0, 2)) @ _GRID[hypotheses, 3] ** 2
            deviations = (residuals / np.maximum(values - residuals, _LEAST)) ** 2 / noise
            uncertainty = np.maximum((_DEGREES + deviations) / (_DEGREES + 1), 1.0)
            hypotheses = hypotheses[_likely(weights.sum(axis=(0, 2)))]
        fits = [part.fit(hypotheses, values, uncertainty) for part in parts]
        weights = self._weights(fits)
        moments = [fit.moments(weight) for fit, weight in zip(fits, weights, strict=True)]
        return Posterior(
            dict(zip(self.features.forms, weights.sum(axis=(1, 2)).tolist(), strict=True)),
            np.stack([mean for mean, _ in moments]) * scale,
            np.stack([products for _, products in moments]) * scale**2,
            float(weights.sum(axis=(0, 2)) @ _GRID[hypotheses, 3] ** 2),
            dict(zip(self._names, weights.sum(axis=(0, 1)).tolist(), strict=True)),
        )

    def prior(self, population: Population) -> tuple[Floats, Floats]:
        """Return what is expected of networks (N, choices) before any is measured, (N,), and covariances (N, N).

        Relative to the median latency; for spreads in the middle of those that are thought possible.
        """
        mean, square = np.zeros(len(population)), np.zeros((len(population), len(population)))
        for form, weight in zip(self.features.forms, self._forms, strict=True):
            part = _Part(self, form, population)
            mean += weight * part.expected[0]
            square += weight * (part.covariances(_TYPICAL[None])[0] + np.outer(part.expected[0], part.expected[0]))
        return mean, square - np.outer(mean, mean)

    def _weights(self, fits: Sequence["_Fit"]) -> Floats:
        """Return the probabilities (forms, hypotheses, centres)."""
        logs = np.stack([fit.logs for fit in fits]) + np.log(self._forms)[:, None, None] + np.log(self._resembles)
        weights = np.exp(logs - logs.max())
        return np.asarray(weights / weights.sum())


class _Part:
    """The hypotheses that share a form: where coefficients are centred, and how they vary.

    Args:
        transfer: whose hypotheses they are.
        form: of the networks.
        population: the measured networks (n, choices).
    """

    def __init__(self, transfer: Transfer, form: str, population: Population) -> None:
        features = transfer.features
        self.rows = rows = features(population, form)
        known = transfer.coefficients / np.median(transfer.coefficients @ rows.T, axis=1)[:, None]
        average = known[: len(transfer.known) or None].mean(axis=0)  # of bounds, if no device is known
        self.centres = np.stack([average, *known])  # (centres, features)
        self.directions = np.stack([average, *(known - average)])
        self.described = features.variances(1.0, 0.0)
        self.expected = self.centres @ rows.T  # (centres, n)
        spread = self.directions @ rows.T
        described, departing = rows * self.described, rows * (1 - self.described)
        self._kernels = np.stack([spread.T @ spread, described @ described.T, departing @ departing.T])

    def covariances(self, deviations: Floats) -> Floats:
        """Return prior covariances (hypotheses, n, n) of latencies, noise apart, for deviations (hypotheses, 4)."""
        return np.asarray(np.tensordot(deviations[:, :3] ** 2, self._kernels, 1))

    def fit(self, hypotheses: NDArray[np.int64], values: Floats, uncertainty: Floats) -> "_Fit":
        """Return what latencies (n,) say of hypotheses, if the variances of their noise are so many times as large."""
        return _Fit(self, _GRID[hypotheses], values, np.maximum(self.expected[0], _LEAST) ** 2 * uncertainty)


class _Fit:
    """Hypotheses of a form, (hypotheses, 4), fitted to latencies (n,) whose noise has variances (n,).

    Attributes:
        logs: logarithms of the marginal likelihoods, (hypotheses, centres).
    """

    def __init__(self, part: _Part, deviations: Floats, values: Floats, noise: Floats) -> None:
        self._part, self._deviations = part, deviations
        self._noise = deviations[:, 3, None] ** 2 * noise + _JITTER  # (hypotheses, n)
        missing = (values - part.expected).T
        self._solved = np.empty((len(deviations), *missing.shape))  # (hypotheses, n, centres)
        logdet = np.empty(len(deviations))
        for some in np.array_split(np.arange(len(deviations)), -(-len(deviations) * len(values) ** 2 // _HELD)):
            covariances = self._covariances(some)
            self._solved[some] = np.linalg.solve(covariances, missing)
            logdet[some] = np.linalg.slogdet(covariances)[1]
        self.logs = -(missing * self._solved).sum(axis=1) / 2 - logdet[:, None] / 2

    def _covariances(self, some: NDArray[np.int64]) -> Floats:
        """Return the covariances (some, n, n) of latencies under some of the hypotheses, noise included."""
        found = self._part.covariances(self._deviations[some])
        diagonal = np.arange(found.shape[1])
        found[:, diagonal, diagonal] += self._noise[some]
        return found

    def residuals(self, weights: Floats) -> Floats:
        """Return the sum over hypotheses (hypotheses, centres) of weight times what each leaves of latencies, (n,)."""
        return np.asarray(np.einsum("gc,gnc,gn->n", weights, self._solved, self._noise, optimize=True))

    def moments(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return the sums over hypotheses of weight times expected coefficients, and of weight times their products."""
        part = self._part
        mean, products = np.zeros(part.rows.shape[1]), np.zeros((part.rows.shape[1], part.rows.shape[1]))
        along = part.directions.T @ (part.directions @ part.rows.T)
        spread = part.directions.T @ part.directions
        of_grid = weights.sum(axis=1)
        kept = _likely(of_grid)
        for g in kept:
            share = weights[g] * of_grid.sum() / max(of_grid[kept].sum(), 1e-300)
            variances = self._deviations[g, :3] ** 2
            diagonal = np.where(part.described, variances[1], variances[2])
            across = variances[0] * along + diagonal[:, None] * part.rows.T  # (features, n)
            found = part.centres + (across @ self._solved[g]).T  # (centres, features)
            left = variances[0] * spread - across @ np.linalg.solve(self._covariances(np.array([g]))[0], across.T)
            left[np.diag_indices(len(left))] += diagonal
            mean += share @ found
            products += share.sum() * left + (found.T * share) @ found
        return mean, products


def _likely(weights: Floats) -> NDArray[np.int64]:
    """Return the indices of the largest of weights (n,) that add up to nearly all; one if all are zero."""
    order = np.argsort(-weights, kind="stable")
    n = int(np.searchsorted(np.cumsum(weights[order]), _KEPT * weights.sum())) + 1
    return np.asarray(order[:n])
