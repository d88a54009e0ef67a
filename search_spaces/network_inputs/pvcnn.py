"""The inputs of an exported PVCNN, made from the points of one cloud. Needs NumPy alone.

    inputs = inputs_from_points(points[:, :3], points)
    (logits,) = onnxruntime.InferenceSession("model.onnx").run(None, inputs)

For segmentation `logits` has a row for each point, in the points' order.
"""

import numpy as np
from numpy.typing import NDArray


def inputs_from_points(
    coordinates: NDArray[np.floating], features: NDArray[np.floating]
) -> dict[str, NDArray[np.generic]]:
    """Return the network's inputs by name, for one cloud.

    Args:
        coordinates: (points, 3), x, y, z in metres.
        features: (points, channels), what the network was trained on: for LiDAR x, y, z and remission.

    Returns:
        `features` and `coordinates`: as given, in float32;
        `cloud` (points,): the number of each point's cloud, 0;
        `cube` (1, 4): the mean of the points, and twice the distance of the farthest one from it.

    Raises:
        ValueError: the arrays have other shapes, there are no points, or one that is not finite.
    """
    if coordinates.ndim != 2 or coordinates.shape[1] != 3 or features.ndim != 2 or len(features) != len(coordinates):
        raise ValueError(
            f"coordinates {coordinates.shape} and features {features.shape}: "
            "expected (points, 3) and (points, channels)"
        )
    if len(coordinates) == 0:
        raise ValueError("the cloud has no points")
    finite = np.isfinite(coordinates).all(1) & np.isfinite(features).all(1)
    if not finite.all():
        raise ValueError(f"point {finite.argmin()} has a coordinate or feature that is not finite: leave it out")
    coordinates = coordinates.astype(np.float32)
    centre = coordinates.mean(axis=0, dtype=np.float64)
    farthest = np.sqrt(np.square(coordinates - centre).sum(axis=1)).max()
    side = 2 * farthest if farthest > 0 else 1.0
    return {
        "features": features.astype(np.float32),
        "coordinates": coordinates,
        "cloud": np.zeros(len(coordinates), np.int64),
        "cube": np.array([[*centre, side]], np.float32),
    }
