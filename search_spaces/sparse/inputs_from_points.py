"""The inputs of an exported point-voxel network, made from the points of one frame. Needs NumPy alone.

    inputs = inputs_from_points(points[:, :3], points, voxel_size=0.05, n_strides=5, point_strides=(1, 4, 16))
    (logits,) = onnxruntime.InferenceSession("model.onnx").run(None, inputs)

`logits` has a row for each point, in the points' order. A voxel is one integer, its three coordinates packed, so that
the order of the integers is that of (x, y, z): voxels are found by sorting, their neighbours by binary search.
"""

import itertools
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BITS = 17
_MIDDLE = 1 << (_BITS - 1)
_LARGEST = _MIDDLE - 64
_STEPS = (1 << 2 * _BITS, 1 << _BITS, 1)  # what a step along x, y, z adds to a voxel's number
_LOW_BITS = sum(_STEPS)  # the lowest bit of each coordinate
_HIGH_BITS = _LOW_BITS << (_BITS - 1)


def inputs_from_points(
    coordinates: NDArray[np.floating],
    features: NDArray[np.floating],
    *,
    voxel_size: float,
    n_strides: int,
    point_strides: Collection[int],
) -> dict[str, NDArray[np.generic]]:
    """Return the network's inputs by name, for one frame.

    Args:
        coordinates: (points, 3), x, y, z in metres.
        features: (points, channels), what the network was trained on: for LiDAR x, y, z and remission.
        voxel_size: edge of a voxel at stride 1, in metres.
        n_strides: how many strides the network has: 1, 2, 4, ...
        point_strides: the strides at which points and voxels meet.

    Returns:
        `points` (points, channels): the features. And for each stride s
        `neighbours_s` (pairs, 2): rows of two adjacent voxels, of each two opposite directions only one, by direction;
        `neighbour_counts_s` (1, 13): how many pairs there are in each direction;
        `n_points_s` (voxels,): how many points each voxel holds;
        `children_s` (voxels of stride s/2, 2): their rows and those of the voxels of stride s they lie in, by place;
        `child_counts_s` (1, 8): how many there are at each place;
        `voxel_of_point_s` (points,): the row of each point's voxel;
        `corners_s` (corners, 2): the rows of a voxel and of a point next to its centre, by point;
        `shares_s` (corners,): their weights, which sum to one at each point.

    Raises:
        ValueError: there are no points, or one that is not finite or too far away.
    """
    positions = _positions(coordinates, features, voxel_size)
    numbers, of_point = np.unique(
        ((np.floor(positions).astype(np.int64) + _MIDDLE) * _STEPS).sum(1), return_inverse=True
    )
    inputs: dict[str, NDArray[np.generic]] = {"points": np.asarray(features, np.float32)}
    for stride in (1 << level for level in range(n_strides)):
        if stride > 1:
            inputs[f"children_{stride}"], inputs[f"child_counts_{stride}"], numbers, parent = _coarser(numbers)
            of_point = parent[of_point]
        inputs[f"neighbours_{stride}"], inputs[f"neighbour_counts_{stride}"] = _neighbours(numbers)
        inputs[f"n_points_{stride}"] = np.bincount(of_point, minlength=len(numbers)).astype(np.float32)
        if stride in point_strides:
            inputs[f"voxel_of_point_{stride}"] = of_point
            inputs[f"corners_{stride}"], inputs[f"shares_{stride}"] = _corners(numbers, positions, stride)
    return inputs


def _positions(coordinates: NDArray[np.floating], features: NDArray[np.floating], voxel_size: float) -> Floats:
    """Return the points in voxels of stride 1."""
    if len(coordinates) == 0:
        raise ValueError("the frame has no points")
    finite = np.isfinite(coordinates).all(1) & np.isfinite(features).all(1)
    if not finite.all():
        raise ValueError(f"point {finite.argmin()} has a coordinate or feature that is not finite: leave it out")
    positions = np.asarray(coordinates, np.float32).astype(np.float64) * (1 / voxel_size)
    near = (np.abs(positions) < _LARGEST).all(1)
    if not near.all():
        raise ValueError(
            f"point {near.argmin()} lies at {coordinates[near.argmin()]} m: with voxels of {voxel_size} m coordinates "
            f"must lie within {_LARGEST * voxel_size:.6g} m; leave it out"
        )
    return positions


def _neighbours(numbers: Ints) -> tuple[Ints, Ints]:
    """Return the pairs of adjacent voxels in 13 directions, and how many there are in each."""
    pairs = {}
    for x, y, z in sorted(offset for offset in itertools.product((-1, 0, 1), repeat=3) if offset > (0, 0, 0)):
        first, second = _found(numbers, numbers + (x * _STEPS[0] + y * _STEPS[1] + z))
        pairs[x, y, z] = np.stack((first, second), 1)
    return np.concatenate(list(pairs.values())), np.array([[len(part) for part in pairs.values()]])


def _coarser(numbers: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return pairs of child and parent by place, how many there are at each, the parents, and each child's."""
    parents, parent = np.unique((numbers >> 1) & ~np.int64(_HIGH_BITS), return_inverse=True)
    odd = numbers & _LOW_BITS
    place = (odd >> (2 * _BITS - 2) | odd >> (_BITS - 1) | odd) & 7
    order = np.argsort(place, kind="stable")
    return np.stack((order, parent[order]), 1), np.bincount(place, minlength=8)[None], parents, parent


def _corners(numbers: Ints, positions: Floats, stride: int) -> tuple[Ints, NDArray[np.float32]]:
    """Return the voxels around each point, and their trilinear weights, divided among those that there are."""
    scaled = positions * (1 / stride) - 0.5
    base = np.floor(scaled)
    upper = scaled - base
    lower = 1 - upper
    number = ((base.astype(np.int64) + _MIDDLE // stride) * _STEPS).sum(1)
    rows = np.full((len(positions), 8), -1)
    weights = np.zeros((len(positions), 8))
    total = np.zeros(len(positions))
    for corner, (x, y, z) in enumerate(itertools.product((0, 1), repeat=3)):
        points, found = _found(numbers, number + (x * _STEPS[0] + y * _STEPS[1] + z))
        side = [upper if at else lower for at in (x, y, z)]
        rows[points, corner] = found
        weights[points, corner] = (side[0][:, 0] * side[1][:, 1] * side[2][:, 2])[points]
        total += weights[:, corner]
    point, column = np.nonzero(rows >= 0)
    return np.stack((rows[point, column], point), 1), (weights / total[:, None])[point, column].astype(np.float32)


def _found(numbers: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """Return which of the wanted voxels there are, and their rows."""
    place = np.searchsorted(numbers, wanted)
    place[place == len(numbers)] = 0
    hits = np.nonzero(numbers[place] == wanted)[0]
    return hits, place[hits]
