"""What the operations of `search_spaces.sparse.operations` are in ONNX: standard nodes, open numbers of rows.

A convolution multiplies the pairs that there are, offset by offset, and scatters the rows. Every row's 27 neighbours
gathered into one matrix is fewer nodes (7 against 121) and slower, as most neighbours are missing: on one thread 134
against 25 ms for 32 channels at the 94,444 voxels of a real frame, 36 against 2.6 ms for 128 channels at 4,000.
ScatterND moves whole rows; ScatterElements took 14 to 60 times as long.
"""

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import FLOAT, INT64
from onnxscript import opset20 as op


def convolve_neighbours(x: FLOAT, pairs: INT64, counts: INT64, weight: FLOAT) -> FLOAT:
    """Add up the products of all pairs, both ways, to that of the centre."""
    y = op.MatMul(x, _part(weight, 0))
    for number, part in enumerate(_by_offset(pairs, counts)):
        first, second = op.Split(part, axis=1, num_outputs=2)
        y = _add_product(y, first, x, second, _part(weight, 2 * number + 1))
        y = _add_product(y, second, x, first, _part(weight, 2 * number + 2))
    return y


def convolve_between(x: FLOAT, source: INT64, target: INT64, counts: INT64, weight: FLOAT, like: Any) -> FLOAT:
    """Add up the products of all pairs, one way."""
    y = _zeros(like, weight.shape[2])
    for number, part in enumerate(_by_offset(_columns(source, target), counts)):
        rows, onto = op.Split(part, axis=1, num_outputs=2)
        y = _add_product(y, onto, x, rows, _part(weight, number))
    return y


def average_points(x: FLOAT, voxel: INT64, n_points: FLOAT) -> FLOAT:
    """Add the points up by voxel, and divide."""
    total = op.ScatterND(_zeros(n_points, x.shape[1]), op.Unsqueeze(voxel, _ints(1)), x, reduction="add")
    return op.Div(total, op.Unsqueeze(n_points, _ints(1)))


def interpolate(x: FLOAT, corners: INT64, shares: FLOAT, like: Any) -> FLOAT:
    """Add the shares of the corners up by point."""
    voxel, point = op.Split(corners, axis=1, num_outputs=2)
    rows = op.Mul(op.GatherND(x, voxel), op.Unsqueeze(shares, _ints(1)))
    return op.ScatterND(_zeros(like, x.shape[1]), point, rows, reduction="add")


def _ints(*values: int) -> INT64:
    return op.Constant(value_ints=list(values))


def _columns(*columns: INT64) -> INT64:
    return op.Concat(*(op.Unsqueeze(column, _ints(1)) for column in columns), axis=1)


def _part(tensor: FLOAT, number: int) -> FLOAT:
    return op.Gather(tensor, op.Constant(value_int=number), axis=0)


def _by_offset(pairs: INT64, counts: INT64) -> list[INT64]:
    """Return the pairs (pairs, 2) of each offset; the exporter turns the sequence into one Split."""
    parts = op.SplitToSequence(pairs, op.ReduceSum(counts, _ints(0), keepdims=0), axis=0)
    return [op.SequenceAt(parts, op.Constant(value_int=number)) for number in range(counts.shape[1])]


def _add_product(y: FLOAT, onto: INT64, x: FLOAT, rows: INT64, weight: FLOAT) -> FLOAT:
    return op.ScatterND(y, onto, op.MatMul(op.GatherND(x, rows), weight), reduction="add")


def _zeros(like: Any, channels: int) -> FLOAT:
    shape = op.Concat(op.Shape(like, end=1), _ints(channels), axis=0)
    return op.Expand(op.Constant(value_floats=[0.0]), shape)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.sparse.convolve_neighbours.default: convolve_neighbours,
    torch.ops.sparse.convolve_between.default: convolve_between,
    torch.ops.sparse.average_points.default: average_points,
    torch.ops.sparse.interpolate.default: interpolate,
}
"""For the exporter: operator -> what to make of it."""
