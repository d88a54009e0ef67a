"""The inputs of an exported point-voxel network, made from the points of one frame. Needs NumPy alone.

    inputs = inputs_from_points(points[:, :3], points)
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

VOXEL_SIZE = 0.05  # metres
N_STRIDES = 5
POINT_STRIDES = (1, 4, 16)

_ROUNDS = 20
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
    voxel_size: float = VOXEL_SIZE,
    n_strides: int = N_STRIDES,
    point_strides: Collection[int] = POINT_STRIDES,
) -> dict[str, NDArray[np.generic]]:
    """Return the network's inputs by name, for one frame.

    Args:
        coordinates: (points, 3), x, y, z in metres.
        features: (points, channels), what the network was trained on: for LiDAR x, y, z and remission.
        voxel_size: edge of a voxel at stride 1, in metres.
        n_strides: how many strides the network has: 1, 2, 4, ...
        point_strides: the strides at which points and voxels meet.

    Returns:
        `points` (points, channels): the features, in float32. And for each stride s
        `neighbours_s` (pairs, 2): rows of two adjacent voxels, of each two opposite directions only one, by direction;
        `neighbour_counts_s` (1, 13): how many pairs there are in each direction;
        `n_points_s` (voxels,): how many points each voxel holds;
        `children_s` (voxels of stride s/2, 2): their rows and those of the voxels of stride s they lie in, by place;
        `child_counts_s` (1, 8): how many there are at each place;
        `first_points_s` (voxels,): the row of each voxel's first point;
        `merges_s` (points - voxels, 2): a point and another of its voxel that it is added to, by rounds;
        `merge_counts_s` (1, 20): how many points are added in each round, after the last of which the first has all;
        `corners_s` (corners, 2): the rows of a voxel and of a point next to its centre, by which of eight it is;
        `corner_counts_s` (1, 8): how many there are of each;
        `shares_s` (corners,): their weights, which sum to one at each point.

    Raises:
        ValueError: the arrays have other shapes, there are no points, or one that is not finite or too far away.
    """
    positions = _positions(coordinates, features, voxel_size)
    numbers, of_point = np.unique(
        ((np.floor(positions).astype(np.int64) + _MIDDLE) * _STEPS).sum(1), return_inverse=True
    )
    inputs: dict[str, NDArray[np.generic]] = {"points": features.astype(np.float32)}
    for s in (1 << level for level in range(n_strides)):
        if s > 1:
            inputs[f"children_{s}"], inputs[f"child_counts_{s}"], numbers, parent = _coarser(numbers)
            of_point = parent[of_point]
        inputs[f"neighbours_{s}"], inputs[f"neighbour_counts_{s}"] = _neighbours(numbers)
        inputs[f"n_points_{s}"] = np.bincount(of_point).astype(np.float32)
        if s in point_strides:
            inputs[f"merges_{s}"], inputs[f"merge_counts_{s}"], inputs[f"first_points_{s}"] = _merges(of_point)
            inputs[f"corners_{s}"], inputs[f"corner_counts_{s}"], inputs[f"shares_{s}"] = _corners(
                numbers, positions, s
            )
    return inputs


def _positions(coordinates: NDArray[np.floating], features: NDArray[np.floating], voxel_size: float) -> Floats:
    """Return the points in voxels of stride 1."""
    if coordinates.ndim != 2 or coordinates.shape[1] != 3 or features.ndim != 2 or len(features) != len(coordinates):
        raise ValueError(
            f"coordinates {coordinates.shape} and features {features.shape}: "
            "expected (points, 3) and (points, channels)"
        )
    if len(coordinates) == 0:
        raise ValueError("the frame has no points")
    finite = np.isfinite(coordinates).all(1) & np.isfinite(features).all(1)
    if not finite.all():
        raise ValueError(f"point {finite.argmin()} has a coordinate or feature that is not finite: leave it out")
    positions = coordinates.astype(np.float32).astype(np.float64) * (1 / voxel_size)
    near = (np.abs(positions) < _LARGEST).all(1)
    if not near.all():
        far = near.argmin()
        raise ValueError(
            f"point {far} lies at {coordinates[far].tolist()} m: with voxels of {voxel_size} m coordinates must lie "
            f"within {_LARGEST * voxel_size:.6g} m; leave it out"
        )
    return positions


def _merges(of_point: Ints) -> tuple[Ints, Ints, Ints]:
    """Return which point is added to which by rounds, how many in each round, and each voxel's first point."""
    order = np.argsort(of_point, kind="stable")
    starts = np.searchsorted(of_point[order], np.arange(of_point.max() + 1))
    place = np.arange(len(order)) - starts[of_point[order]]
    if place.max() >= 1 << _ROUNDS:
        raise ValueError(f"{place.max() + 1} points in one voxel: at most {1 << _ROUNDS}; take smaller voxels")
    later = np.nonzero(place)[0]
    step = place[later] & -place[later]
    rounds = np.frexp(step.astype(np.float64))[1] - 1
    by_round = np.argsort(rounds, kind="stable")
    merges = np.stack((order[later[by_round]], order[(later - step)[by_round]]), 1)
    return merges, np.bincount(rounds, minlength=_ROUNDS)[None], order[starts]


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


def _corners(numbers: Ints, positions: Floats, stride: int) -> tuple[Ints, Ints, NDArray[np.float32]]:
    """Return the voxels around each point, how many of each kind, and their weights, divided among those there are."""
    scaled = positions * (1 / stride) - 0.5
    base = np.floor(scaled)
    upper = scaled - base
    lower = 1 - upper
    number = ((base.astype(np.int64) + _MIDDLE // stride) * _STEPS).sum(1)
    corners, weights = [], []
    total = np.zeros(len(positions))
    for x, y, z in itertools.product((0, 1), repeat=3):
        points, rows = _found(numbers, number + (x * _STEPS[0] + y * _STEPS[1] + z))
        along = [upper if at else lower for at in (x, y, z)]
        weight = (along[0][:, 0] * along[1][:, 1] * along[2][:, 2])[points]
        total[points] += weight
        corners.append(np.stack((rows, points), 1))
        weights.append(weight)
    counts = np.array([[len(weight) for weight in weights]])
    joint = np.concatenate(corners)
    return joint, counts, (np.concatenate(weights) / total[joint[:, 1]]).astype(np.float32)


def _found(numbers: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """Return which of the wanted voxels there are, and their rows."""
    place = np.searchsorted(numbers, wanted)
    place[place == len(numbers)] = 0
    hits = np.nonzero(numbers[place] == wanted)[0]
    return hits, place[hits]
