"""How much networks would add to the volume that is dominated, and which of them add most together."""

import numpy as np
from numpy.typing import NDArray

from nas.pareto import Scores

_DIRECTIONS = 16

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

    def expected(self, means: Scores, deviations: Scores, draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N,): the mean improvement by each network alone.

        Args:
            means: of the scores, (N, objectives).
            deviations: of the scores, (N, objectives).
            draws: standard normal, (S, objectives); the same for all networks.
        """
        summed = np.zeros(len(means))
        for draw in draws:
            summed += np.maximum(self.reach(means + deviations * draw) - self.reached, 0.0).mean(axis=-1)
        return summed / len(draws)

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
