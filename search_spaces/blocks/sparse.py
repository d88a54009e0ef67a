"""Convolutions of sparse point-voxel networks, over occupied voxels.

A block's record holds the numbers of rows of a typical frame, on which its latency depends: of points, of voxels, and
of the pairs of neighbours among them. Frames of one batch are rows of the same tensors.
"""

import dataclasses
import math
from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.block import Block, TensorSpec
from search_spaces.blocks.row_norm import RowNorm
from search_spaces.sparse import drawn
from search_spaces.sparse.forms import child_lists, features, neighbour_lists, points_in_voxels
from search_spaces.sparse.operations import convolve_between, convolve_neighbours

Addend = Literal["none", "before the norm", "after the norm"]


@dataclasses.dataclass(frozen=True)
class SparseBlock(Block):
    """A block whose examples follow lists of pairs, as many as planned, that are near each other as in a scene."""

    def example(self, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        lists = self._lists(batch_size)
        return tuple(lists[s.name] if s.name in lists else s.draw(batch_size, generator) for s in self.inputs)

    @abstractmethod
    def _lists(self, n_frames: int) -> dict[str, Tensor]:
        """Return the inputs that are lists, by name."""

    @property
    def growing(self) -> tuple[str, ...]:
        return ("in_channels", "out_channels")

    def output_dim(self, owner: nn.Module) -> int:
        return 2 if isinstance(owner, _Kernel) else 0


@dataclasses.dataclass(frozen=True)
class _Convolution(SparseBlock):
    """A convolution within one stride, and batch normalisation unless it is `partial`.

    A convolution over a concatenation is two: a partial one over the second part, and one over the first, to which the
    other's result is added before the norm. So fewer channels of either are a leading slice of its own weight.
    """

    n_voxels: int
    in_channels: int
    out_channels: int
    addend: Addend
    partial: bool

    @property
    def output(self) -> TensorSpec:
        return features("voxels", self.n_voxels, self.out_channels)

    def silence(self, module: nn.Module) -> None:
        """Within a residual block, the last convolution is enough: what goes past it was rectified before."""
        if self.partial:
            super().silence(module)
        if self.addend == "after the norm":
            assert isinstance(module, _SparseConvolution | _PointwiseConvolution)
            nn.init.zeros_(module.finish.norm.weight)  # type: ignore[arg-type]  # not partial, so it has a norm

    @property
    def _features(self) -> TensorSpec:
        return features("voxels", self.n_voxels, self.in_channels)

    @property
    def _addends(self) -> tuple[TensorSpec, ...]:
        return () if self.addend == "none" else (features("voxels", self.n_voxels, self.out_channels, "addend"),)


@dataclasses.dataclass(frozen=True)
class SparseConvolution(_Convolution):
    """3x3x3, with an activation unless it is partial."""

    n_pairs: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (self._features, *neighbour_lists(self.n_voxels, self.n_pairs), *self._addends)

    def _lists(self, n_frames: int) -> dict[str, Tensor]:
        pairs, counts = drawn.neighbours(self.n_voxels, self.n_pairs, n_frames)
        return {"neighbours": pairs, "neighbour_counts": counts}

    def build(self) -> nn.Module:
        return _SparseConvolution(self)


class _Kernel(nn.Module):
    """The weight of a sparse convolution: (offsets, in, out)."""

    def __init__(self, n_offsets: int, in_channels: int, out_channels: int, fan: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_offsets, in_channels, out_channels))
        bound = 1 / math.sqrt(fan)  # as the published code draws it
        nn.init.uniform_(self.weight, -bound, bound)


class _Finish(nn.Module):
    """What follows the products: norm, activation, and an addend before or after the norm."""

    def __init__(self, block: _Convolution, relu: bool) -> None:
        super().__init__()
        self.norm = nn.Identity() if block.partial else RowNorm(block.out_channels)
        self.addend, self.relu = block.addend, relu

    def forward(self, y: Tensor, addend: Tensor | None) -> Tensor:
        if addend is not None and self.addend == "before the norm":
            y = y + addend
        y = self.norm(y)
        if addend is not None and self.addend == "after the norm":
            y = y + addend
        return y.relu() if self.relu else y


class _SparseConvolution(nn.Module):
    def __init__(self, block: SparseConvolution) -> None:
        super().__init__()
        self.kernel = _Kernel(27, block.in_channels, block.out_channels, 27 * block.in_channels)
        self.finish = _Finish(block, relu=not block.partial)

    def forward(self, x: Tensor, pairs: Tensor, counts: Tensor, addend: Tensor | None = None) -> Tensor:
        y: Tensor = self.finish(convolve_neighbours(x, pairs, counts, self.kernel.weight), addend)
        return y


@dataclasses.dataclass(frozen=True)
class PointwiseConvolution(_Convolution):
    """1x1x1, without an activation: a residual block's shortcut."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (self._features, *self._addends)

    def _lists(self, n_frames: int) -> dict[str, Tensor]:
        return {}

    def build(self) -> nn.Module:
        return _PointwiseConvolution(self)


class _PointwiseConvolution(nn.Module):
    def __init__(self, block: PointwiseConvolution) -> None:
        super().__init__()
        self.linear = nn.Linear(block.in_channels, block.out_channels, bias=False)
        self.finish = _Finish(block, relu=False)

    def forward(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        y: Tensor = self.finish(self.linear(x), addend)
        return y


@dataclasses.dataclass(frozen=True)
class _Transition(SparseBlock):
    """2x2x2 with stride 2 between `n_children` voxels and their `n_parents`, batch normalisation, activation."""

    n_children: int
    n_parents: int
    in_channels: int
    out_channels: int

    def _lists(self, n_frames: int) -> dict[str, Tensor]:
        pairs, counts = drawn.children(self.n_children, self.n_parents, n_frames)
        return {"children": pairs, "child_counts": counts}


@dataclasses.dataclass(frozen=True)
class Downsampling(_Transition):
    """From the children to their parents."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        x = features("children", self.n_children, self.in_channels)
        return (x, *child_lists(self.n_children), points_in_voxels(self.n_parents))

    @property
    def output(self) -> TensorSpec:
        return features("voxels", self.n_parents, self.out_channels)

    def build(self) -> nn.Module:
        return _Downsampling(self)


class _Downsampling(nn.Module):
    def __init__(self, block: Downsampling) -> None:
        super().__init__()
        self.kernel = _Kernel(8, block.in_channels, block.out_channels, 8 * block.in_channels)
        self.norm = RowNorm(block.out_channels)

    def forward(self, x: Tensor, children: Tensor, counts: Tensor, n_points: Tensor) -> Tensor:
        child, parent = children.unbind(1)
        y: Tensor = self.norm(convolve_between(x, child, parent, counts, self.kernel.weight, n_points))
        return y.relu()


@dataclasses.dataclass(frozen=True)
class Upsampling(_Transition):
    """From the parents to their children: transposed."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (features("voxels", self.n_parents, self.in_channels), *child_lists(self.n_children))

    @property
    def output(self) -> TensorSpec:
        return features("children", self.n_children, self.out_channels)

    def build(self) -> nn.Module:
        return _Upsampling(self)


class _Upsampling(nn.Module):
    def __init__(self, block: Upsampling) -> None:
        super().__init__()
        self.kernel = _Kernel(8, block.in_channels, block.out_channels, block.out_channels)
        self.norm = RowNorm(block.out_channels)

    def forward(self, x: Tensor, children: Tensor, counts: Tensor) -> Tensor:
        child, parent = children.unbind(1)
        y: Tensor = self.norm(convolve_between(x, parent, child, counts, self.kernel.weight, children))
        return y.relu()
