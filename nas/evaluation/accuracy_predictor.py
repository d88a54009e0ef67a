"""Accuracy of networks by a predictor that was fitted to a few hundred evaluated ones (Once-for-All, 2020)."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from scipy.stats import kendalltau
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from nas.evaluation.evaluator import Evaluator, Metrics
from search_spaces import SearchSpace
from search_spaces.errors import InputError
from search_spaces.plan_index import Population
from search_spaces.storage import write_atomic

_N_MEMBERS = 5
_HIDDEN = (64, 64)


class AccuracyPredictor(Evaluator):
    """An ensemble of small perceptrons on the one-hot choices of canonical architectures.

    Each member is fitted without one fifth of the networks, so that every network has a prediction by a member that
    has not seen it: `kendall` is the rank correlation of those with the truth.

    Attributes:
        kendall: held-out rank correlation, from -1 to 1; 0 where all accuracies or all predictions are equal.
    """

    metrics = ("predicted_accuracy",)
    batch_size = 1 << 16

    def __init__(
        self, space: SearchSpace, layers: list[list[NDArray[np.float32]]], offset: float, scale: float, kendall: float
    ) -> None:
        self.space = space
        self._layers = layers
        self._offset, self._scale = offset, scale
        self.kendall = kendall

    @classmethod
    def fit(
        cls, space: SearchSpace, population: Population, accuracy: NDArray[np.float64], seed: int
    ) -> "AccuracyPredictor":
        """Fit to networks (N, choices) and their accuracies (N,); a network whose evaluation failed is left out.

        Raises:
            InputError: too few networks are left.
        """
        known = np.isfinite(accuracy)
        population, accuracy = population[known], accuracy[known]
        if len(accuracy) < _N_MEMBERS:
            raise InputError(
                f"{len(accuracy)} evaluated networks are too few to predict accuracy from, {_N_MEMBERS} the fewest: "
                "raise the budget, or search on shared weights without a predictor"
            )
        features = space.one_hot(space.canonical(population))
        offset, scale = float(accuracy.mean()), float(accuracy.std()) or 1.0
        targets = (accuracy - offset) / scale
        layers, held_out = [], np.empty(len(accuracy))
        folds = KFold(_N_MEMBERS, shuffle=True, random_state=seed)
        # The matrices are small: on a busy machine, threads that wait for each other take fifty times as long.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is part of the regularisation
            for member, (seen, unseen) in enumerate(folds.split(features)):
                network = MLPRegressor(
                    hidden_layer_sizes=_HIDDEN, alpha=1.0, solver="lbfgs", max_iter=200, random_state=seed + member
                )
                network.fit(features[seen], targets[seen])
                held_out[unseen] = network.predict(features[unseen])
                pairs = zip(network.coefs_, network.intercepts_, strict=True)
                layers.append([array.astype(np.float32) for pair in pairs for array in pair])
        kendall = float(np.nan_to_num(kendalltau(held_out, accuracy).statistic))
        return cls(space, layers, offset, scale, kendall)

    def evaluate(self, population: Population) -> Metrics:
        features = self.space.one_hot(population)
        outputs = [_perceptron(features, layers) for layers in self._layers]
        standardised: NDArray[np.float64] = np.asarray(np.mean(outputs, axis=0, dtype=np.float64))
        return {"predicted_accuracy": self._offset + self._scale * standardised}

    def save(self, path: Path) -> None:
        """Write weights and scale as one safetensors file."""
        tensors = {f"{m}.{i}": array for m, layers in enumerate(self._layers) for i, array in enumerate(layers)}
        tensors["scale"] = np.array([self._offset, self._scale, self.kendall])
        write_atomic(path, lambda temporary: temporary.write_bytes(save(tensors)))

    @classmethod
    def load(cls, path: Path, space: SearchSpace) -> "AccuracyPredictor":
        """Read what `save` wrote."""
        tensors = load_file(path)
        offset, scale, kendall = (float(value) for value in tensors["scale"])
        n_arrays = 2 * (len(_HIDDEN) + 1)
        layers = [[tensors[f"{member}.{i}"] for i in range(n_arrays)] for member in range(_N_MEMBERS)]
        return cls(space, layers, offset, scale, kendall)


def _perceptron(features: NDArray[np.float32], layers: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return (N,) outputs for (N, features): linear layers with a rectifier between them."""
    hidden = features
    for i in range(0, len(layers), 2):
        hidden = hidden @ layers[i] + layers[i + 1]
        if i + 2 < len(layers):
            hidden = np.maximum(hidden, 0.0)
    return hidden[:, 0]
