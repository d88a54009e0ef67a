"""The operations of sparse point-voxel networks: every one of them follows a list of pairs of rows.

Each is one operator to torch. So it trains with a backward pass of its own, it is counted by what it really multiplies,
it has a shape where tensors have no storage, and `search_spaces.sparse.onnx_form` says what it is in ONNX. The lists
are plain tensors, made once for a batch of frames (`search_spaces.sparse.geometry`) and read by all layers and subnets.

Within one kernel offset no row occurs twice, so that what is scattered there meets no other: sums have one order.
"""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

import torch
from torch import Tensor
from torch._library.custom_ops import CustomOpDef
from torch.nn.functional import embedding_bag
from torch.utils.flop_counter import register_flop_formula
from torch.utils.weak import WeakIdKeyDictionary


@torch.library.custom_op("sparse::convolve_neighbours", mutates_args=())
def convolve_neighbours(x: Tensor, pairs: Tensor, counts: Tensor, weight: Tensor) -> Tensor:
    """Convolve the features of voxels with those of their neighbours.

    Args:
        x: features, (voxels, in).
        pairs: (pairs, 2), a voxel and the one at an offset from it; of two offsets that mirror each other only the
            first is listed. Sorted by offset.
        counts: (frames, offsets // 2), the number of pairs of each frame at each listed offset.
        weight: (offsets, in, out): the centre, then each listed offset and its mirror image (`geometry.offsets`).

    Returns:
        (voxels, out).
    """
    y = x @ weight[0]
    for kernel, source, target in _both_ways(pairs, counts):
        y.index_add_(0, target, x.index_select(0, source) @ weight[kernel])
    return y


@torch.library.custom_op("sparse::convolve_between", mutates_args=())
def convolve_between(x: Tensor, source: Tensor, target: Tensor, counts: Tensor, weight: Tensor, like: Tensor) -> Tensor:
    """Convolve from the voxels of one stride to those of another.

    Args:
        x: features, (voxels before, in).
        source: (pairs,), rows of x, sorted by offset.
        target: (pairs,), rows of the result.
        counts: (frames, offsets), the number of pairs of each frame at each offset.
        weight: (offsets, in, out).
        like: has as many rows as the result.

    Returns:
        (voxels after, out).
    """
    y = x.new_zeros(len(like), weight.shape[2])
    for kernel, (rows, onto) in enumerate(_by_offset(counts, source, target)):
        y.index_add_(0, onto, x.index_select(0, rows) @ weight[kernel])
    return y


@torch.library.custom_op("sparse::average_points", mutates_args=())
def average_points(x: Tensor, merges: Tensor, counts: Tensor, first: Tensor, n_points: Tensor) -> Tensor:
    """Average the features of the points in each voxel.

    Args:
        x: features, (points, channels).
        merges: (points - voxels, 2), a point and the one of the same voxel that it joins, sorted by rounds: after the
            last, the first point of each voxel has been joined by all others.
        counts: (frames, rounds), the number of merges of each frame in each round.
        first: (voxels,), the first point of each voxel.
        n_points: (voxels,), the number of points in each voxel, as a float.

    Returns:
        (voxels, channels).
    """
    order, starts = _grouped(_voxel_of_point(len(x), merges, counts, first), len(n_points))
    return embedding_bag(order, x, starts, mode="sum").div_(n_points[:, None].to(x.dtype))


@torch.library.custom_op("sparse::interpolate", mutates_args=())
def interpolate(x: Tensor, corners: Tensor, counts: Tensor, shares: Tensor, like: Tensor) -> Tensor:
    """Interpolate the features of voxels at points.

    Args:
        x: features, (voxels, channels).
        corners: (corners, 2), a voxel near a point and the point, sorted by which of the eight it is.
        counts: (frames, 8), the number of each frame's corners of each kind.
        shares: (corners,), the weights, which sum to one at each point.
        like: has as many rows as there are points.

    Returns:
        (points, channels).
    """
    return _weighted_sums(x, corners, shares, len(like), onto=1)


def _by_offset(counts: Tensor, *columns: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the part of each column (pairs,) that belongs to one offset after the other."""
    sizes: list[int] = _derived(counts, "sizes", lambda: counts.sum(0).tolist())
    yield from zip(*(torch.split(column, sizes) for column in columns), strict=True)


def _both_ways(pairs: Tensor, counts: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield the number in the kernel, the rows to read and the rows to write, for each offset but the centre."""
    for number, (first, second) in enumerate(_by_offset(counts, pairs[:, 0], pairs[:, 1])):
        yield 2 * number + 1, second, first
        yield 2 * number + 2, first, second


_DERIVED: MutableMapping[Tensor, dict[object, Any]] = WeakIdKeyDictionary()
"""What follows from a list alone, for as long as the list lives: all layers and steps that read it share it."""


def _derived(of: Tensor, key: object, derive: Callable[[], Any]) -> Any:
    known = _DERIVED.setdefault(of, {})
    if key not in known:
        known[key] = derive()
    return known[key]


def _grouped(rows: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return the order in which a list of rows is sorted, and where each of n rows starts in it."""

    def sort() -> tuple[Tensor, Tensor]:
        ordered, order = rows.sort(stable=True)
        return order, torch.searchsorted(ordered, torch.arange(n, device=rows.device))

    groups: tuple[Tensor, Tensor] = _derived(rows, "groups", sort)
    return groups


def _voxel_of_point(n: int, merges: Tensor, counts: Tensor, first: Tensor) -> Tensor:
    """Return (n,), the row of each point's voxel."""

    def follow() -> Tensor:
        voxel = torch.empty(n, dtype=torch.long, device=first.device)
        voxel[first] = torch.arange(len(first), device=first.device)
        for joining, joined in reversed(list(_by_offset(counts, merges[:, 0], merges[:, 1]))):
            voxel[joining] = voxel[joined]
        return voxel

    voxel: Tensor = _derived(merges, "voxels", follow)
    return voxel


def _weighted_sums(x: Tensor, corners: Tensor, shares: Tensor, n: int, onto: int) -> Tensor:
    """Return (n, channels): at each row in one column of the corners, the weighted sum of x at the other's."""

    def sort() -> tuple[Tensor, Tensor, Tensor]:
        order, starts = _grouped(corners[:, onto].contiguous(), n)
        return corners[:, 1 - onto][order], shares[order], starts

    rows, weights, starts = _derived(corners, onto, sort)
    return embedding_bag(rows, x, starts, mode="sum", per_sample_weights=weights.to(x.dtype))


def _gradients(
    x: Tensor, weight: Tensor, gradient: Tensor, pairs: Iterable[tuple[int, Tensor, Tensor]], for_x: Tensor | None
) -> tuple[Tensor | None, Tensor]:
    """Return the gradients of features and weights, adding to `for_x` where that of the features is wanted."""
    for_weight = torch.zeros(weight.shape, dtype=weight.dtype, device=weight.device)
    for kernel, source, target in pairs:
        rows = gradient.index_select(0, target)
        torch.mm(x.index_select(0, source).t(), rows, out=for_weight[kernel])
        if for_x is not None:
            for_x.index_add_(0, source, rows @ weight[kernel].t())
    return for_x, for_weight


def _differentiate_neighbours(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, pairs, counts, weight = context.saved_tensors
    gradient = gradient.contiguous()
    for_x = gradient @ weight[0].t() if context.needs_input_grad[0] else None
    for_x, for_weight = _gradients(x, weight, gradient, _both_ways(pairs, counts), for_x)
    torch.mm(x.t(), gradient, out=for_weight[0])
    return for_x, None, None, for_weight


def _differentiate_between(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, source, target, counts, weight, _ = context.saved_tensors
    pairs = ((kernel, rows, onto) for kernel, (rows, onto) in enumerate(_by_offset(counts, source, target)))
    for_x = torch.zeros_like(x) if context.needs_input_grad[0] else None
    for_x, for_weight = _gradients(x, weight, gradient.contiguous(), pairs, for_x)
    return for_x, None, None, None, for_weight, None


def _differentiate_average(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, merges, counts, first, n_points = context.saved_tensors
    voxel = _voxel_of_point(len(x), merges, counts, first)
    shared = gradient / n_points[:, None].to(gradient.dtype)
    return shared.index_select(0, voxel), None, None, None, None


def _differentiate_interpolation(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, corners, _, shares, _ = context.saved_tensors
    return _weighted_sums(gradient, corners, shares, len(x), onto=0), None, None, None, None


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _register(
    operation: CustomOpDef, differentiate: Callable[..., Any], shape: Callable[..., Tensor], flops: Callable[..., int]
) -> None:
    operation.register_autograd(differentiate, setup_context=_save)
    operation.register_fake(shape)
    for device in ("cpu", "cuda"):
        operation.register_autocast(device, torch.float32)  # gathers and scatters decide the time, not products
    register_flop_formula(operation._opoverload.overloadpacket)(flops)


_register(
    convolve_neighbours,
    _differentiate_neighbours,
    lambda x, pairs, counts, weight: x.new_empty(x.shape[0], weight.shape[2]),
    lambda x, pairs, counts, weight, out_shape: 2 * (x[0] + 2 * pairs[0]) * weight[1] * weight[2],
)
_register(
    convolve_between,
    _differentiate_between,
    lambda x, source, target, counts, weight, like: x.new_empty(like.shape[0], weight.shape[2]),
    lambda x, source, target, counts, weight, like, out_shape: 2 * source[0] * weight[1] * weight[2],
)
_register(
    average_points,
    _differentiate_average,
    lambda x, merges, counts, first, n_points: x.new_empty(n_points.shape[0], x.shape[1]),
    lambda x, merges, counts, first, n_points, out_shape: 0,
)
_register(
    interpolate,
    _differentiate_interpolation,
    lambda x, corners, counts, shares, like: x.new_empty(like.shape[0], x.shape[1]),
    lambda x, corners, counts, shares, like, out_shape: 2 * corners[0] * x[1],
)
