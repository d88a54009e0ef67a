"""A new device's latency by a few measurements and what other devices are known to need, as a cost model."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from latency_predictors.cost_model import WITHIN_MARGIN
from latency_predictors.learned.features import Features
from latency_predictors.learned.predicted_cost import Arrays, PredictedCost, Stored, require_measurements
from latency_predictors.transfer.design import at_random, most_telling
from latency_predictors.transfer.known_device import KnownDevice, resemblance
from latency_predictors.transfer.transfer import NORMAL, Posterior, Transfer
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

FEWEST_TO_TRANSFER = 3
"""Measured networks."""

_LARGEST_MARGIN = 10.0


class TransferredLatency(PredictedCost):
    """Predicts from a posterior over the device's coefficients.

    Attributes:
        posterior: with the probabilities of forms, and of what the device resembles.
        adds_up: how much of each known device adds up to this one, by name; see `resemblance`.
        factor: deviations that hold 90 % of latencies, by known devices that were left out.
    """

    schema: ClassVar[str] = "transferred-latency/2"

    def __init__(
        self,
        features: Features,
        posterior: Posterior,
        factor: float,
        adds_up: dict[str, float],
        measured: tuple[Population, Floats],
    ) -> None:
        self.space = features.space
        self.posterior, self.factor, self.adds_up = posterior, factor, adds_up
        self.population, self.latencies_ms = measured
        self.features = features
        mean, deviation = posterior.predict(features, self.space.canonical(features.reference))
        self.margin = _margin(factor / NORMAL * deviation / mean)

    @classmethod
    def fit(
        cls,
        features: Features,
        known: Sequence[KnownDevice],
        population: Population,
        latencies_ms: Floats,
        *,
        designed: bool = True,
        resembles: Mapping[str, float] | None = None,
    ) -> "TransferredLatency":
        """Fit to measured networks (k, choices) and their latencies (k,), beside known devices, of which none may be.

        Args:
            features: of the space.
            known: devices measured often.
            population: the measured networks.
            latencies_ms: theirs.
            designed: whether the networks were chosen by `most_telling`, or else at random: for the interval.
            resembles: what the device was found to add up to in another space: `adds_up` of its model there.

        Raises:
            InputError: fewer than three networks, latencies that cannot be, or a device that it adds up to elsewhere is
                not known here.
        """
        require_measurements(features.space, population, latencies_ms, FEWEST_TO_TRANSFER)
        missing = sorted({*(resembles or {})} - {device.name for device in known})
        if missing:
            raise InputError(f"the device adds up elsewhere to {', '.join(missing)}, too: add them to those known here")
        factor = Transfer(features, known).factor(len(population), most_telling if designed else at_random)
        posterior = Transfer(features, known, resembles).posterior(population, latencies_ms)
        adds_up = resemblance(features, posterior.mean(features, features.reference), known)
        return cls(features, posterior, factor, adds_up, (population, latencies_ms))

    def _predict(self, built: Population) -> Floats:
        return self.posterior.mean(self.features, built)

    def _interval(self, built: Population) -> tuple[Floats, Floats]:
        mean, deviation = self.posterior.predict(self.features, built)
        return mean - self.factor * deviation, mean + self.factor * deviation

    def _to_file(self) -> tuple[dict[str, Any], Arrays]:
        found = self.posterior
        about = {"forms": found.forms, "resembles": found.resembles, "noise": found.noise}
        about |= {"factor": self.factor, "adds_up": self.adds_up}
        return about, {"means": found.means, "products": found.products}

    @classmethod
    def _from_file(cls, stored: Stored) -> "TransferredLatency":
        about, arrays = stored.about, stored.arrays
        posterior = Posterior(about["forms"], arrays["means"], arrays["products"], about["noise"], about["resembles"])
        return cls(stored.features, posterior, about["factor"], about["adds_up"], stored.measured)


def _margin(deviations: Floats) -> float:
    """Return by how much, relative to the prediction, 95 % of networks exceed theirs at most; deviations are (N,).

    The quantile of a mixture of normal distributions, one for each network.
    """

    def missing(margin: float) -> float:
        return float(special.ndtr(margin / deviations).mean()) - WITHIN_MARGIN

    if not np.isfinite(deviations).all():
        return float("nan")  # which a damaged file is told by
    if missing(_LARGEST_MARGIN) < 0:
        return _LARGEST_MARGIN
    return float(optimize.brentq(missing, 0.0, _LARGEST_MARGIN))
