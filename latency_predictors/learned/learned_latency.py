"""A latency learned from some dozens or hundreds of measured networks of one device: the regression that does best."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latency_predictors.cost_model import conformal, excess, margin_of
from latency_predictors.learned import regressors
from latency_predictors.learned.features import Features
from latency_predictors.learned.predicted_cost import COVERAGE, PredictedCost, Stored, require_measurements
from latency_predictors.learned.regressors import REGRESSORS, Arrays
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_FOLDS = 5

FEWEST = 2 * _FOLDS
"""Measured networks."""


class LearnedLatency(PredictedCost):
    """Predicts by one regression on the features of all forms in which a runtime may run a network.

    Attributes:
        kind: the regression, of `REGRESSORS`.
        errors: mean of |predicted / measured - 1| over networks that were left out, of every regression.
        held_out_ms: predictions (n,) of the measured networks by fits to others of them.
        width: of the interval to either side, relative to the prediction: the quantile of held-out errors that holds
            90 % of new ones (split conformal prediction over folds; Vovk, 2015).
    """

    schema: ClassVar[str] = "learned-latency/2"

    def __init__(
        self,
        features: Features,
        kind: str,
        fitted: Arrays,
        errors: dict[str, float],
        measured: tuple[Population, Floats],
        held_out_ms: Floats,
    ) -> None:
        self.space = features.space
        self.kind, self.errors = kind, errors
        self.features, self._fitted = features, fitted
        self.population, self.latencies_ms = measured
        self.held_out_ms = held_out_ms
        self.width = conformal(np.abs(excess(self.latencies_ms, held_out_ms)), COVERAGE)
        self.margin = margin_of(self.latencies_ms, held_out_ms)

    @classmethod
    def fit(
        cls,
        features: Features,
        population: Population,
        latencies_ms: Floats,
        *,
        kinds: Sequence[str] = tuple(REGRESSORS),
        seed: int = 0,
    ) -> "LearnedLatency":
        """Fit every kind of regression to measured networks (N, choices), keep that of the least held-out error.

        A Gaussian process, whose time grows with the cube, is left out where there are more than `regressors.MOST`.

        Raises:
            InputError: fewer than ten networks, or latencies that cannot be.
        """
        require_measurements(features.space, population, latencies_ms, FEWEST)
        rows = _rows(features, population)
        kinds = [kind for kind in kinds if len(rows) <= regressors.MOST.get(kind, len(rows))]
        folds = np.random.default_rng(seed).permutation(len(rows)) % _FOLDS
        held_out = {kind: np.empty(len(rows)) for kind in kinds}
        for fold in range(_FOLDS):
            seen, unseen = folds != fold, folds == fold
            for kind in kinds:
                arrays = regressors.fit(kind, rows[seen], latencies_ms[seen], seed)
                held_out[kind][unseen] = regressors.predict(kind, arrays, rows[unseen])
        errors = {kind: float(np.abs(held_out[kind] / latencies_ms - 1).mean()) for kind in kinds}
        best = min(errors, key=errors.__getitem__)
        fitted = regressors.fit(best, rows, latencies_ms, seed)
        return cls(features, best, fitted, errors, (population, latencies_ms), held_out[best])

    def _predict(self, built: Population) -> Floats:
        return regressors.predict(self.kind, self._fitted, _rows(self.features, built))

    def _interval(self, built: Population) -> tuple[Floats, Floats]:
        predicted = self._predict(built)
        return predicted * (1 - self.width), predicted * (1 + self.width)

    def tested(self) -> tuple[Floats, Floats]:
        return self.latencies_ms, self.held_out_ms

    def _to_file(self) -> tuple[dict[str, Any], Arrays]:
        about = {"kind": self.kind, "errors": self.errors}
        return about, {**self._fitted, "measured.held_out_ms": self.held_out_ms}

    @classmethod
    def _from_file(cls, stored: Stored) -> "LearnedLatency":
        about, arrays = stored.about, dict(stored.arrays)
        held_out_ms = arrays.pop("measured.held_out_ms")
        return cls(stored.features, about["kind"], arrays, about["errors"], stored.measured, held_out_ms)


def _rows(features: Features, population: Population) -> Floats:
    """Return (N, features of all forms)."""
    return np.concatenate([features(population, form) for form in features.forms], axis=1)
