"""How much networks would add to the volume that is dominated, and which of them add most together."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nas.pareto import Scores

_DIRECTIONS = 32

_NODES, _TAIL = 8, 4.0
"""Of the quadrature, which ends so many deviations beyond the mean."""

_LEAST = 1e-9
"""Deviation, relative to the scores' range: costs that are known have none."""

_ROUNDED = 1e-6
"""What is reached is known to so much, as single precision has it."""

Shares = NDArray[np.float32]
"""What networks reach along each direction, (..., directions)."""


class HypervolumeImprovement:
    """The volume above a reference point that networks add to what known scores dominate.

    The volume is an average over directions: of how far the dominated set reaches along each, to the power of the
    number of objectives (Zhang and Golovin, ICML 2020). So it costs the same for any number of objectives, and for one
    it is the plain improvement.

    Attributes:
        reached: what the known networks reach, (directions,).
    """

    def __init__(self, scores: Scores, reference: NDArray[np.float64]) -> None:
        n_objectives = len(reference)
        self._reference = reference
        self._range = np.maximum(scores.max(axis=0, initial=-np.inf) - reference, 1e-9)
        self._inverse = (1 / _directions(n_objectives)).astype(np.float32)
        self.reached = self.reach(scores).max(axis=0, initial=0.0)

    def reach(self, scores: Scores) -> Shares:
        """Return (..., directions) for scores (..., objectives)."""
        above = ((scores - self._reference) / self._range).astype(np.float32)
        reach = above[..., :1] * self._inverse[:, 0]
        for i in range(1, above.shape[-1]):
            np.minimum(reach, above[..., i, None] * self._inverse[:, i], out=reach)
        return np.asarray(np.maximum(reach, 0.0, out=reach) ** above.shape[-1])

    def expected(self, means: Scores, deviations: Scores) -> NDArray[np.float64]:
        """Return (N,): the mean improvement by each network alone.

        Along a direction, a network reaches at least so far if each of its scores does. The integral of that
        probability beyond what is reached is exact in the tails, in which improvements lie once the best are known.

        Args:
            means: of the scores, which are normal and independent, (N, objectives).
            deviations: of the scores, (N, objectives).
        """
        n, n_objectives = means.shape
        means, deviations = (means - self._reference) / self._range, np.maximum(deviations / self._range, _LEAST)
        reached = self.reached.astype(np.float64) ** (1 / n_objectives)
        farthest = ((means + _TAIL * deviations)[:, None] * self._inverse).min(axis=2)
        networks, directions = np.nonzero(farthest > reached + _ROUNDED)
        means, deviations, along = means[networks], deviations[networks], 1 / self._inverse[directions]
        reached, farthest = reached[directions], farthest[networks, directions]
        gains = np.zeros(len(networks))
        for place, weight in zip(*np.polynomial.legendre.leggauss(_NODES), strict=True):
            distance = reached + (farthest - reached) * (place + 1) / 2
            density = n_objectives * distance ** (n_objectives - 1) * weight / 2
            gains += density * special.ndtr((means - distance[:, None] * along) / deviations).prod(axis=1)
        gains *= farthest - reached
        return np.bincount(networks, gains, minlength=n) / len(self._inverse)

    def best_together(self, samples: Scores, weights: NDArray[np.float64], n: int) -> NDArray[np.int64]:
        """Return the indices of at most n networks, each the one that adds most to those before it, on average.

        Args:
            samples: scores that the networks may have, (S, N, objectives).
            weights: of what each network adds, (N,).
            n: how many.
        """
        reach = self.reach(samples)
        reached = np.broadcast_to(self.reached, (len(samples), 1, len(self.reached)))
        chosen: list[int] = []
        while len(chosen) < min(n, samples.shape[1]):
            gains = weights * np.maximum(reach - reached, 0.0).sum(axis=(0, 2))
            best = int(gains.argmax())
            if gains[best] <= 0:
                break
            chosen.append(best)
            reached = np.maximum(reached, reach[:, best : best + 1])
        return np.array(chosen, np.int64)


def _directions(n_objectives: int) -> NDArray[np.float64]:
    """Return (directions, objectives): unit vectors of the positive orthant, uniform on the sphere."""
    if n_objectives == 1:
        return np.ones((1, 1))
    if n_objectives == 2:
        angles = (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS * np.pi / 2
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    drawn = np.abs(np.random.default_rng(0).normal(size=(_DIRECTIONS * n_objectives, n_objectives)))
    return np.asarray(np.maximum(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), 1e-6))
