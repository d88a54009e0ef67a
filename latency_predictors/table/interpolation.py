"""Latencies of blocks that were not measured, from those of others: a Gaussian process over what blocks are."""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latency_predictors.analytic.counts import count
from search_spaces import Block

Floats = NDArray[np.float64]

_FEWEST = 20
_FOLDS = 5


def features(blocks: Sequence[Block]) -> Floats:
    """Return (blocks, features): logarithms of multiply-adds, parameters and bytes, and the fields of each block."""
    from sklearn.feature_extraction import DictVectorizer

    sizes = [
        [
            count(block).macs,
            count(block).n_parameters,
            *(tensor.n_bytes for tensor in (*block.inputs[:1], block.output)),
        ]
        for block in blocks
    ]
    fields: list[dict[str, bool | int | float | str]] = [
        {
            "kind": type(block).__name__,
            **{name: value for name, value in vars(block).items() if isinstance(value, bool | int | float | str)},
        }
        for block in blocks
    ]
    described = DictVectorizer(sparse=False).fit_transform(fields)
    return np.column_stack([np.log1p(np.array(sizes, float)), np.sign(described) * np.log1p(np.abs(described))])


def gaussian_process(known: Floats, log_ms: Floats, asked: Floats) -> Floats:
    """Return the mean of a Gaussian process, with a length of its own for every feature."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(known)
    kernel = ConstantKernel() * RBF(np.full(known.shape[1], 3.0), (0.3, 1e3)) + WhiteKernel(1e-3, (1e-6, 1.0))
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a feature that does not matter has no end of length
        model.fit(scale.transform(known), log_ms)
    return np.asarray(model.predict(scale.transform(asked)))


def kept(blocks: Sequence[Block], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return (blocks,): which are measured, at least one of each kind, and twenty."""
    order = rng.permutation(len(blocks))
    kinds = [type(blocks[i]) for i in order]
    first = [order[kinds.index(kind)] for kind in dict.fromkeys(kinds)]
    n = max(len(first), min(_FEWEST, len(blocks)), round(share * len(blocks)))
    return np.isin(np.arange(len(blocks)), list(dict.fromkeys([*first, *order]))[:n])


def interpolate(blocks: Sequence[Block], latencies_ms: Floats, measured: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Return the latencies of the blocks that were not measured, and how far such latencies are off.

    Args:
        blocks: all of them.
        latencies_ms: of those that were measured, in their order.
        measured: (blocks,), which were.

    Returns:
        Latencies in ms of the others, in their order, and the mean of |predicted / measured - 1| of measured blocks by
        those in other folds.
    """
    rows, log_ms = features(blocks), np.log(latencies_ms)
    known = rows[measured]
    folds = np.random.default_rng(0).permutation(len(known)) % _FOLDS
    left_out = np.empty(len(known))
    for fold in range(_FOLDS):
        unseen = folds == fold
        left_out[unseen] = gaussian_process(known[~unseen], log_ms[~unseen], known[unseen])
    error = float(np.abs(np.exp(left_out - log_ms) - 1).mean())
    return np.exp(gaussian_process(known, log_ms, rows[~measured])), error
