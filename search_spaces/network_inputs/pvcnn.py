"""The inputs of an exported PVCNN, made of the points of one cloud."""

import numpy as np
from numpy.typing import NDArray


def network_inputs(points: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
    """Return what the network is run on; row i of its output is the scores of point i.

    Args:
        points: (N, channels), float32: x, y, z in metres, and what else the network was trained with.

    Returns:
        features: the points themselves, float32 (N, channels).
        coordinates: x, y, z, float32 (N, 3).
        cloud: the number of each point's cloud, int64 (N,): 0.
        cube: float32 (1, 4): the mean of the points, and twice the distance of the farthest one from it.
    """
    coordinates = np.ascontiguousarray(points[:, :3])
    centre = coordinates.mean(axis=0, dtype=np.float64)
    farthest = np.sqrt(np.square(coordinates - centre).sum(axis=1)).max()
    side = 2 * farthest if farthest > 0 else 1.0
    return {
        "features": points,
        "coordinates": coordinates,
        "cloud": np.zeros(len(points), np.int64),
        "cube": np.array([[*centre, side]], np.float32),
    }
