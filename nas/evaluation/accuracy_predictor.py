"""Accuracy of networks by a predictor that was fitted to a few hundred evaluated ones (Once-for-All, 2020)."""

import warnings
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save
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
        metric: what is predicted: accuracy, or another metric of the evaluated networks, such as cross entropy, which
            still tells networks apart where few validation images leave accuracies equal.
        kendall: held-out rank correlation, from -1 to 1; 0 where all values or all predictions are equal.
    """

    batch_size = 1 << 16

    def __init__(
        self,
        space: SearchSpace,
        metric: str,
        layers: list[list[NDArray[np.float32]]],
        offset: float,
        scale: float,
        kendall: float,
    ) -> None:
        self.space = space
        self.metric = metric
        self.metrics = (f"predicted_{metric}",)
        self._layers = layers
        self._offset, self._scale = offset, scale
        self.kendall = kendall

    @classmethod
    def fit(
        cls,
        space: SearchSpace,
        population: Population,
        values: NDArray[np.float64],
        seed: int,
        metric: str = "accuracy",
    ) -> "AccuracyPredictor":
        """Fit to networks (N, choices) and their metric (N,); a network whose evaluation failed is left out.

        Raises:
            InputError: too few networks are left.
        """
        # here, as every command would else wait for scikit-learn at its start
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.model_selection import KFold
        from sklearn.neural_network import MLPRegressor

        known = np.isfinite(values)
        population, values = population[known], values[known]
        if len(values) < _N_MEMBERS:
            raise InputError(
                f"{len(values)} evaluated networks are too few to predict {metric} from, {_N_MEMBERS} the fewest: "
                "raise the budget, or search on shared weights without a predictor"
            )
        features = space.one_hot(space.canonical(population))
        offset, scale = float(values.mean()), float(values.std()) or 1.0
        targets = (values - offset) / scale
        layers, held_out = [], np.empty(len(values))
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
        kendall = float(np.nan_to_num(scipy.stats.kendalltau(held_out, values).statistic))
        return cls(space, metric, layers, offset, scale, kendall)

    def evaluate(self, population: Population) -> Metrics:
        features = self.space.one_hot(population)
        outputs = [_perceptron(features, layers) for layers in self._layers]
        standardised: NDArray[np.float64] = np.asarray(np.mean(outputs, axis=0, dtype=np.float64))
        return {self.metrics[0]: self._offset + self._scale * standardised}

    def save(self, path: Path) -> None:
        """Write weights and scale as one safetensors file."""
        tensors = {f"{m}.{i}": array for m, layers in enumerate(self._layers) for i, array in enumerate(layers)}
        tensors["scale"] = np.array([self._offset, self._scale, self.kendall])
        write_atomic(path, lambda temporary: temporary.write_bytes(save(tensors, {"metric": self.metric})))

    @classmethod
    def load(cls, path: Path, space: SearchSpace) -> "AccuracyPredictor":
        """Read what `save` wrote."""
        with safe_open(path, framework="numpy") as file:
            metric = file.metadata()["metric"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dictionary
        offset, scale, kendall = (float(value) for value in tensors["scale"])
        n_arrays = 2 * (len(_HIDDEN) + 1)
        layers = [[tensors[f"{member}.{i}"] for i in range(n_arrays)] for member in range(_N_MEMBERS)]
        return cls(space, metric, layers, offset, scale, kendall)


def _perceptron(features: NDArray[np.float32], layers: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return (N,) outputs for (N, features): linear layers with a rectifier between them."""
    hidden = features
    for i in range(0, len(layers), 2):
        hidden = hidden @ layers[i] + layers[i + 1]
        if i + 2 < len(layers):
            hidden = np.maximum(hidden, 0.0)
    return hidden[:, 0]
