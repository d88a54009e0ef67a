"""A latency learned from some dozens or hundreds of measured networks of one device: the regression that does best."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latency_predictors.learned import regressors
from latency_predictors.learned.features import Features
from latency_predictors.learned.predicted_cost import PredictedCost, read_model, require_measurements, write_model
from latency_predictors.learned.regressors import REGRESSORS, Arrays
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_SCHEMA = "learned-latency/1"
_FOLDS = 5
_COVERAGE, _MARGIN = 0.9, 0.95


class LearnedLatency(PredictedCost):
    """Predicts by one regression on the features of all forms in which a runtime may run a network.

    Attributes:
        kind: the regression, of `REGRESSORS`.
        errors: mean of |predicted / measured - 1| over networks that were left out, of every regression.
        width: of the interval to either side, relative to the prediction: the quantile of held-out errors that holds
            90 % of new ones (split conformal prediction over folds; Vovk, 2015).
    """

    metric = "latency_ms"

    def __init__(
        self,
        features: Features,
        kind: str,
        fitted: Arrays,
        errors: dict[str, float],
        width: float,
        margin: float,
        measured: tuple[Population, Floats],
    ) -> None:
        self.space = features.space
        self.kind, self.errors, self.width, self.margin = kind, errors, width, margin
        self._features, self._fitted = features, fitted
        self.population, self.latencies_ms = measured

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

        Raises:
            InputError: fewer than ten networks, or latencies that cannot be.
        """
        require_measurements(population, latencies_ms, 2 * _FOLDS)
        rows = _rows(features, population)
        folds = np.random.default_rng(seed).permutation(len(rows)) % _FOLDS
        held_out = {kind: np.empty(len(rows)) for kind in kinds}
        for fold in range(_FOLDS):
            seen, unseen = folds != fold, folds == fold
            for kind in kinds:
                arrays = regressors.fit(kind, rows[seen], latencies_ms[seen], seed)
                held_out[kind][unseen] = regressors.predict(kind, arrays, rows[unseen])
        errors = {kind: float(np.abs(held_out[kind] / latencies_ms - 1).mean()) for kind in kinds}
        best = min(errors, key=errors.__getitem__)
        excess = latencies_ms / np.maximum(held_out[best], 1e-9) - 1
        return cls(
            features,
            best,
            regressors.fit(best, rows, latencies_ms, seed),
            errors,
            _conformal(np.abs(excess), _COVERAGE),
            max(0.0, _conformal(excess, _MARGIN)),
            (population, latencies_ms),
        )

    def predict(self, population: Population) -> Floats:
        return regressors.predict(self.kind, self._fitted, _rows(self._features, population))

    def interval(self, population: Population) -> tuple[Floats, Floats]:
        predicted = self.predict(population)
        return predicted * (1 - self.width), predicted * (1 + self.width)

    def save(self, path: Path) -> None:
        """Write the regression, its errors and what was measured as one safetensors file."""
        about = {"kind": self.kind, "errors": self.errors, "width": self.width, "margin": self.margin}
        measured = {"measured.population": self.population, "measured.latencies_ms": self.latencies_ms}
        write_model(path, _SCHEMA, self.space, about, {**self._fitted, **measured})

    @classmethod
    def load(cls, path: Path) -> "LearnedLatency":
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing, damaged, or follows another schema.
        """
        space, about, arrays = read_model(path, _SCHEMA)
        measured = arrays.pop("measured.population"), arrays.pop("measured.latencies_ms")
        numbers = (about["errors"], about["width"], about["margin"])
        return cls(Features(space), about["kind"], arrays, *numbers, measured)


def _rows(features: Features, population: Population) -> Floats:
    """Return (N, features of all forms)."""
    return np.concatenate([features(population, form) for form in features.forms], axis=1)


def _conformal(errors: Floats, share: float) -> float:
    """Return the error below which a share of new ones lies, by exchangeable held-out ones (n,); the largest of few."""
    rank = min(len(errors), int(np.ceil((len(errors) + 1) * share)))
    return float(np.sort(errors)[rank - 1])
