"""A new device's latency by a few measurements and what other devices are known to need, as a cost model."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latency_predictors.learned.features import Features
from latency_predictors.learned.predicted_cost import Arrays, PredictedCost, Stored, require_measurements
from latency_predictors.transfer.design import at_random, most_telling
from latency_predictors.transfer.known_device import KnownDevice
from latency_predictors.transfer.transfer import Posterior, Transfer
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_FEWEST = 3


class TransferredLatency(PredictedCost):
    """Predicts from a posterior over the device's coefficients.

    Attributes:
        posterior: with the probabilities of forms, and of what the device resembles.
        factor: deviations that hold 90 % of latencies, by known devices that were left out.
    """

    schema: ClassVar[str] = "transferred-latency/1"

    def __init__(
        self, features: Features, posterior: Posterior, factor: float, measured: tuple[Population, Floats]
    ) -> None:
        self.space = features.space
        self.posterior, self.factor = posterior, factor
        self.population, self.latencies_ms = measured
        self._features = features
        mean, deviation = posterior.predict(features, features.reference)
        self.margin = float(np.median(factor * deviation / mean))

    @classmethod
    def fit(
        cls,
        features: Features,
        known: Sequence[KnownDevice],
        population: Population,
        latencies_ms: Floats,
        *,
        designed: bool = True,
    ) -> "TransferredLatency":
        """Fit to measured networks (k, choices) and their latencies (k,), beside known devices, of which none may be.

        Args:
            features: of the space.
            known: devices measured often.
            population: the measured networks.
            latencies_ms: theirs.
            designed: whether the networks were chosen by `most_telling`, or else at random: for the interval.

        Raises:
            InputError: fewer than three networks, or latencies that cannot be.
        """
        require_measurements(population, latencies_ms, _FEWEST)
        transfer = Transfer(features, known)
        factor = transfer.factor(len(population), most_telling if designed else at_random)
        posterior = transfer.posterior(population, latencies_ms)
        return cls(features, posterior, factor, (population, latencies_ms))

    def predict(self, population: Population) -> Floats:
        return self.posterior.predict(self._features, population)[0]

    def interval(self, population: Population) -> tuple[Floats, Floats]:
        mean, deviation = self.posterior.predict(self._features, population)
        return mean - self.factor * deviation, mean + self.factor * deviation

    def _to_file(self) -> tuple[dict[str, Any], Arrays]:
        found = self.posterior
        about = {"forms": found.forms, "resembles": found.resembles, "noise": found.noise, "factor": self.factor}
        return about, {"means": found.means, "products": found.products}

    @classmethod
    def _from_file(cls, stored: Stored) -> "TransferredLatency":
        about, arrays = stored.about, stored.arrays
        posterior = Posterior(about["forms"], arrays["means"], arrays["products"], about["noise"], about["resembles"])
        return cls(Features(stored.space), posterior, about["factor"], stored.measured)
