"""The kernels that a block runs: what each computes and moves, whatever the device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from latency_predictors.analytic.counts import FLOPS, empty_inputs
from search_spaces import Block

FAMILIES = ("convolution", "pointwise", "grouped", "depthwise", "product", "elementwise", "other")
"""Kinds of kernels: convolutions larger than 1x1, of 1x1, in groups, in as many groups as channels; matrix products and
attention; what works number by number, normalisation among it; pooling, gathering, copying."""

_ATEN = torch.ops.aten
_NORMALISATIONS = {_ATEN.native_batch_norm, _ATEN.native_layer_norm, _ATEN.native_group_norm}


@dataclass(frozen=True)
class Product:
    """So many products of matrices (rows, depth) and (depth, columns), as which convolutions are computed, too.

    Rows are positions, columns output channels, the depth is what is summed over.
    """

    count: int
    rows: int
    columns: int
    depth: int

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.count * self.rows * self.columns * self.depth


@dataclass(frozen=True)
class Kernel:
    """One operation, for a batch of one in float32.

    Attributes:
        family: one of `FAMILIES`.
        macs: multiply-adds.
        moved_bytes: read and written, weights apart.
        weight_bytes: weights read.
        products: what its multiply-adds are, where that is known; empty elsewhere.
        strided: whether it is a convolution that skips positions.
    """

    family: str
    macs: int
    moved_bytes: int
    weight_bytes: int
    products: tuple[Product, ...] = ()
    strided: bool = False


@lru_cache(maxsize=1 << 16)
def kernels(block: Block) -> tuple[Kernel, ...]:
    """Return a block's kernels in the order in which they run in evaluation mode.

    From a run of its module on tensors without storage. Views, and tensors that are only made, are none.
    """
    with FakeTensorMode():
        module = block.build().eval()
        inputs = empty_inputs(block)
        weights = {_storage(tensor) for tensor in (*module.parameters(), *module.buffers())}
        with torch.no_grad(), _Trace(weights) as trace:
            module(*inputs)
    return tuple(trace.kernels)


class _Trace(TorchDispatchMode):
    """Records the operations that write a tensor of their own, of others."""

    def __init__(self, weights: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: list[Kernel] = []
        self._weights = weights

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        read = _tensors([args, kwargs])
        in_place, storages = func._schema.is_mutable, {_storage(tensor) for tensor in read}
        written = [tensor for tensor in _tensors(output) if in_place or _storage(tensor) not in storages]
        if read and written:
            packet = func.overloadpacket
            flops = FLOPS[packet](*args, **(kwargs or {}), out_val=output) if packet in FLOPS else 0
            weights = [_n_bytes(tensor) for tensor in read if _storage(tensor) in self._weights]
            moved = [_n_bytes(tensor) for tensor in read if _storage(tensor) not in self._weights]
            moved += [_n_bytes(tensor) for tensor in written]
            products = _products(packet, args, output) if flops else ()
            strided = packet is _ATEN.convolution and max(args[3]) > 1
            self.kernels.append(Kernel(_family(func, args), flops // 2, sum(moved), sum(weights), products, strided))
        return output


def _tensors(values: Any) -> list[Tensor]:
    """Return the tensors among values, the same view of a storage once; queries, keys and values may share one."""
    tensors = [x for x in tree_iter(values) if isinstance(x, Tensor) and x.numel()]
    return [*{(_storage(x), x.storage_offset(), x.shape, x.stride()): x for x in tensors}.values()]


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _n_bytes(tensor: Tensor) -> int:
    """Return the size of what a tensor holds: what `expand` repeats is in memory once."""
    held = [size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]
    return math.prod(held) * tensor.element_size()


def _products(packet: Any, args: Sequence[Any], output: Any) -> tuple[Product, ...]:
    """Return the matrix products that an operation is, if it is one of those that networks mostly consist of."""
    if packet is _ATEN.convolution and not args[6]:  # not transposed
        weight, groups = args[1], args[-1]
        positions = output.shape[0] * output.shape[2:].numel()
        return (Product(groups, positions, weight.shape[0] // groups, weight[0].numel()),)
    if packet in (_ATEN.mm, _ATEN.addmm, _ATEN.bmm, _ATEN.baddbmm):
        left, right = args[-2:]
        return (Product(left.shape[:-2].numel(), left.shape[-2], right.shape[-1], left.shape[-1]),)
    if packet.__name__.startswith("_scaled_dot_product"):
        query, key, value = args[:3]
        heads, n_queries, n_keys = query.shape[:-2].numel(), query.shape[-2], key.shape[-2]
        scores = Product(heads, n_queries, n_keys, query.shape[-1])
        return scores, Product(heads, n_queries, value.shape[-1], n_keys)
    return ()


def _family(func: Any, args: Sequence[Any]) -> str:
    """Return which of `FAMILIES` an operation is of."""
    packet = func.overloadpacket
    if packet is _ATEN.convolution:
        weight, groups = args[1], args[-1]
        if groups == 1:
            return "pointwise" if weight[0, 0].numel() == 1 else "convolution"
        return "depthwise" if weight.shape[1] == 1 else "grouped"
    if packet in FLOPS:
        return "product"
    return "elementwise" if torch.Tag.pointwise in func.tags or packet in _NORMALISATIONS else "other"
