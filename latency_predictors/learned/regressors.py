"""Regressions that are kept as arrays: fitted by scikit-learn, predicted and stored without it."""

import warnings
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]


class Regressor(Protocol):
    """Values (N,) of rows (N, features) that are standardised, values as well."""

    def fit(self, rows: Floats, values: Floats, seed: int) -> Arrays:
        """Return what `predict` needs."""

    def predict(self, arrays: Arrays, rows: Floats) -> Floats:
        """Return the predicted values (N,)."""


class Ridge:
    """Linear, its penalty by generalised cross-validation."""

    def fit(self, rows: Floats, values: Floats, seed: int) -> Arrays:
        from sklearn.linear_model import RidgeCV

        fitted = RidgeCV(np.logspace(-4, 4, 17)).fit(rows, values)
        return {"coefficients": fitted.coef_, "intercept": np.array([fitted.intercept_])}

    def predict(self, arrays: Arrays, rows: Floats) -> Floats:
        return np.asarray(rows @ arrays["coefficients"] + arrays["intercept"])


class Boosting:
    """Trees, each fitted to what those before it leave (Friedman, 2001)."""

    _depth = 3
    _options: ClassVar = {"n_estimators": 150, "max_depth": _depth, "learning_rate": 0.1, "subsample": 0.7}

    def fit(self, rows: Floats, values: Floats, seed: int) -> Arrays:
        from sklearn.ensemble import GradientBoostingRegressor

        fitted = GradientBoostingRegressor(**self._options, random_state=seed).fit(rows, values)
        trees = [stage[0].tree_ for stage in fitted.estimators_]
        size = max(tree.node_count for tree in trees)

        def padded(name: str) -> NDArray[Any]:
            columns = [np.asarray(getattr(tree, name)).reshape(-1) for tree in trees]
            return np.stack([np.pad(column, (0, size - len(column))) for column in columns])

        names = {"feature": "feature", "threshold": "threshold", "left": "children_left", "right": "children_right"}
        arrays = {name: padded(of_tree) for name, of_tree in names.items()}
        return arrays | {"value": padded("value") * fitted.learning_rate, "start": fitted.init_.constant_.reshape(-1)}

    def predict(self, arrays: Arrays, rows: Floats) -> Floats:
        rows = rows.astype(np.float32)  # as scikit-learn compares them
        total = np.full(len(rows), float(arrays["start"][0]))
        for feature, threshold, left, right, value in zip(
            *(arrays[name] for name in ("feature", "threshold", "left", "right", "value")), strict=True
        ):
            node = np.zeros(len(rows), np.int64)
            for _ in range(self._depth):
                leaf = left[node] < 0
                below = rows[np.arange(len(rows)), np.maximum(feature[node], 0)] <= threshold[node]
                node = np.where(leaf, node, np.where(below, left[node], right[node]))
            total += value[node]
        return total


class GaussianProcess:
    """With a linear kernel and a Gaussian one, their weights and its length by marginal likelihood."""

    def fit(self, rows: Floats, values: Floats, seed: int) -> Arrays:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

        length = float(np.sqrt(rows.shape[1]))
        linear = ConstantKernel(0.1, (1e-6, 1e3)) * DotProduct(1.0, "fixed")
        smooth = ConstantKernel(0.1, (1e-6, 1e3)) * RBF(length, (length / 10, length * 100))
        kernel = linear + smooth + WhiteKernel(0.01, (1e-7, 1.0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a weight at its bound is a kernel that is not needed
            fitted = GaussianProcessRegressor(kernel, random_state=seed).fit(rows, values)
        weights = np.exp(fitted.kernel_.theta)
        return {"weights": weights, "rows": fitted.X_train_, "solved": fitted.alpha_.reshape(-1)}

    def predict(self, arrays: Arrays, rows: Floats) -> Floats:
        known, (linear, smooth, length, _) = arrays["rows"], arrays["weights"]
        product = rows @ known.T
        distances = (rows**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * product
        covariances = linear * (1 + product) + smooth * np.exp(-np.maximum(distances, 0.0) / (2 * length**2))
        return np.asarray(covariances @ arrays["solved"])


class Perceptrons:
    """The mean of perceptrons that differ in where their training began."""

    _members = 5
    _hidden = (32, 32)

    def fit(self, rows: Floats, values: Floats, seed: int) -> Arrays:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        arrays: Arrays = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is part of the regularisation
            for member in range(self._members):
                options = {"alpha": 0.1, "solver": "lbfgs", "max_iter": 100, "random_state": seed + member}
                fitted = MLPRegressor(hidden_layer_sizes=self._hidden, **options).fit(rows, values)
                for layer, (weights, biases) in enumerate(zip(fitted.coefs_, fitted.intercepts_, strict=True)):
                    arrays |= {f"{member}.{layer}.weights": weights, f"{member}.{layer}.biases": biases}
        return arrays

    def predict(self, arrays: Arrays, rows: Floats) -> Floats:
        total = np.zeros(len(rows))
        for member in range(self._members):
            hidden = rows
            for layer in range(len(self._hidden) + 1):
                hidden = hidden @ arrays[f"{member}.{layer}.weights"] + arrays[f"{member}.{layer}.biases"]
                hidden = np.maximum(hidden, 0.0) if layer < len(self._hidden) else hidden
            total += hidden[:, 0]
        return total / self._members


REGRESSORS: dict[str, Regressor] = {
    "ridge": Ridge(),
    "boosting": Boosting(),
    "gaussian_process": GaussianProcess(),
    "perceptrons": Perceptrons(),
}


MOST = {"gaussian_process": 1000}
"""Rows beyond which a regression takes too long."""


def fit(kind: str, rows: Floats, values: Floats, seed: int) -> Arrays:
    """Return a regression of values (N,) on rows (N, features), of one of `REGRESSORS`, with its standardisation."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(deviation > 1e-12, deviation, 1.0)
    offset, spread = float(values.mean()), float(values.std()) or 1.0
    # The matrices are small: on a busy machine, threads that wait for each other take fifty times as long.
    with threadpool_limits(1):
        arrays = REGRESSORS[kind].fit((rows - mean) / scale, (values - offset) / spread, seed)
    return {**arrays, "rows.mean": mean, "rows.scale": scale, "values": np.array([offset, spread])}


def predict(kind: str, arrays: Arrays, rows: Floats) -> Floats:
    """Return the values (N,) of rows (N, features) by what `fit` returned."""
    offset, spread = arrays["values"]
    with threadpool_limits(1):
        return np.asarray(
            offset + spread * REGRESSORS[kind].predict(arrays, (rows - arrays["rows.mean"]) / arrays["rows.scale"])
        )
