"""Which networks to measure on a new device: those that leave the least uncertain about all others."""

import numpy as np
from numpy.typing import NDArray

from latency_predictors.transfer.transfer import Transfer
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

_NOISE = 0.05
"""Of a measurement, relative to its latency."""


def at_random(transfer: Transfer, candidates: Population, k: int) -> NDArray[np.int64]:
    """Return the first k places: candidates are in random order.

    Raises:
        InputError: there are fewer.
    """
    _require_candidates(candidates, k)
    return np.arange(k)


def most_telling(transfer: Transfer, candidates: Population, k: int) -> NDArray[np.int64]:
    """Return the places (k,) of the candidates (N, choices) to measure, the most telling first.

    Each is the one that lowers the variances of all candidates' latencies most, relative to their squares, given those
    before it (V-optimal design, one point at a time). What is uncertain is how a device differs from known ones, and
    which form its runtime runs: networks that differ between forms are chosen early.

    Raises:
        InputError: there are fewer.
    """
    _require_candidates(candidates, k)
    mean, covariance = transfer.prior(candidates)
    scaled = covariance / np.outer(mean, mean)
    chosen: list[int] = []
    for _ in range(k):
        variance = np.diagonal(scaled) + _NOISE**2
        gain = (scaled**2).sum(axis=0) / variance
        gain[chosen] = -1.0
        best = int(gain.argmax())
        scaled = scaled - np.outer(scaled[:, best], scaled[best]) / variance[best]
        chosen.append(best)
    return np.array(chosen, np.int64)


def _require_candidates(candidates: Population, k: int) -> None:
    if k > len(candidates):
        raise InputError(f"{k} networks to measure, of {len(candidates)}: expected {len(candidates)} at most")
