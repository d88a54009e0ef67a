"""From blocks measured alone to whole networks: what a sum of parts gets wrong, fitted on a few networks.

A block measured alone pays for a call of the runtime and for converting its input and output between memory layouts,
which inside a network it does not; a network's weights fall out of the cache, which a block's, run again and again, do
not. So a network's latency is a * (sum of block latencies) - b * (blocks) - c * (MB read and written by blocks)
+ d * (MB of weights) + e, with a, b, c, d not negative: a correction that is again a value per block and a constant.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from latency_predictors.analytic.counts import count
from search_spaces import Block

_BYTES_A_WEIGHT = 4


def block_features(blocks: Sequence[Block], latencies_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (blocks, 4): latency in ms, one, MB of input and output, MB of weights."""
    n_bytes = [
        [sum(spec.n_bytes for spec in (*block.inputs, block.output)), count(block).n_parameters * _BYTES_A_WEIGHT]
        for block in blocks
    ]
    return np.column_stack([latencies_ms, np.ones(len(blocks)), np.array(n_bytes).reshape(-1, 2) / 1e6])


@dataclass(frozen=True)
class Calibration:
    """The coefficients a, b, c, d and e of this module's formula, in ms and ms a MB."""

    latency: float
    block: float
    traffic: float
    weights: float
    constant: float

    @classmethod
    def fit(cls, features: NDArray[np.float64], measured_ms: NDArray[np.float64]) -> "Calibration":
        """Fit to networks by non-negative least squares of the relative error.

        Args:
            features: (networks, 4), the sums of `block_features` over each network's blocks.
            measured_ms: (networks,).
        """
        ones = np.ones((len(features), 1))
        columns = np.hstack([features * [1.0, -1.0, -1.0, 1.0], ones, -ones])  # the constant may have either sign
        solution, _ = scipy.optimize.nnls(columns / measured_ms[:, None], np.ones(len(features)))
        latency, block, traffic, weights, above, below = (float(value) for value in solution)
        return cls(latency, block, traffic, weights, above - below)

    def block_values(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (blocks,): what each block adds to a network's latency in ms; `constant` comes on top once."""
        coefficients = np.array([self.latency, -self.block, -self.traffic, self.weights])
        return np.asarray(features @ coefficients, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return the coefficients as plain values."""
        return asdict(self)
