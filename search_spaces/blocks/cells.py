"""Operations on the edges of cells, as NAS-Bench-201 and DARTS publish them, and what stands between cells."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.block import Block, TensorSpec
from search_spaces.blocks.mobile import strided
from search_spaces.cell_graph import AGAIN, Edge, edge_slot


def add_up(network: nn.Module, cell: int, edges: Sequence[tuple[Edge, str]], nodes: dict[int, Tensor]) -> None:
    """Compute the nodes of a cell in place: each the sum of what its edges bring, which are modules of the network.

    Args:
        network: holds the modules by `edge_slot`.
        cell: the number of the cell.
        edges: with their operations, those of lower nodes first; from a node that there is not they bring zeros.
        nodes: the cell's inputs, of which there is one with the number 0.
    """
    pooled: dict[tuple[int, str], Tensor] = {}
    for edge, operation in edges:
        source, target = edge
        x = pooled[source, operation] if operation.endswith(AGAIN) else nodes.get(source)
        y = network.get_submodule(edge_slot(cell, edge, operation))(nodes[0] * 0 if x is None else x)
        if "pool" in operation and not operation.endswith(AGAIN):
            pooled[source, operation + AGAIN] = y
        nodes[target] = nodes[target] + y if target in nodes else y


def _conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    return conv


@dataclasses.dataclass(frozen=True)
class _CellBlock(Block):
    """A block from square feature maps of `size` x `size` to others, `stride` times smaller."""

    size: int
    in_channels: int
    out_channels: int
    stride: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec((self.in_channels, self.size, self.size)),)

    @property
    def output(self) -> TensorSpec:
        size = strided(self.size, self.stride)
        return TensorSpec((self.out_channels, size, size))


@dataclasses.dataclass(frozen=True)
class Identity(_CellBlock):
    """What a skip connection is where the shape is kept: a block of the plan, so that it differs from no edge."""

    def build(self) -> nn.Module:
        return nn.Identity()


@dataclasses.dataclass(frozen=True)
class Pool(_CellBlock):
    """3x3 average or maximum; the average is over what lies inside the image."""

    kind: Literal["avg", "max"]

    def build(self) -> nn.Module:
        if self.kind == "max":
            return nn.MaxPool2d(3, self.stride, padding=1)
        return nn.AvgPool2d(3, self.stride, padding=1, count_include_pad=False)


@dataclasses.dataclass(frozen=True)
class ReLUConvNorm(_CellBlock):
    """ReLU, convolution, batch normalisation."""

    kernel: int

    def build(self) -> nn.Module:
        conv = _conv(self.in_channels, self.out_channels, self.kernel, self.stride)
        return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(self.out_channels))


@dataclasses.dataclass(frozen=True)
class DilatedConv(_CellBlock):
    """ReLU, depthwise convolution with gaps of one, 1x1 convolution, batch normalisation."""

    kernel: int

    def build(self) -> nn.Module:
        depthwise = _conv(self.in_channels, self.in_channels, self.kernel, self.stride, self.in_channels, dilation=2)
        pointwise = _conv(self.in_channels, self.out_channels, 1)
        return nn.Sequential(nn.ReLU(), depthwise, pointwise, nn.BatchNorm2d(self.out_channels))


@dataclasses.dataclass(frozen=True)
class SeparableConv(_CellBlock):
    """ReLU, depthwise convolution, 1x1 convolution, batch normalisation; all of it twice, the first time strided."""

    kernel: int

    def build(self) -> nn.Module:
        channels = self.in_channels
        layers: list[nn.Module] = []
        for stride, out_channels in ((self.stride, channels), (1, self.out_channels)):
            depthwise = _conv(channels, channels, self.kernel, stride, channels)
            layers += [nn.ReLU(), depthwise, _conv(channels, out_channels, 1), nn.BatchNorm2d(out_channels)]
        return nn.Sequential(*layers)


@dataclasses.dataclass(frozen=True)
class FactorizedReduce(_CellBlock):
    """ReLU, two 1x1 convolutions of stride 2, the second of the image moved by a pixel, batch normalisation of both."""

    stride: int = 2

    def build(self) -> nn.Module:
        return _FactorizedReduce(self)


class _FactorizedReduce(nn.Module):
    def __init__(self, block: FactorizedReduce) -> None:
        super().__init__()
        half = block.out_channels // 2
        self.straight = _conv(block.in_channels, half, 1, 2)
        self.moved = _conv(block.in_channels, block.out_channels - half, 1, 2)
        self.norm = nn.BatchNorm2d(block.out_channels)
        self.missing = block.size % 2  # pixels that the moved image of an odd size lacks

    def forward(self, x: Tensor) -> Tensor:
        x = x.relu()
        moved = nn.functional.pad(x[:, :, 1:, 1:], (0, self.missing, 0, self.missing))
        halves: Tensor = self.norm(torch.cat([self.straight(x), self.moved(moved)], dim=1))
        return halves


@dataclasses.dataclass(frozen=True)
class ResidualReduction(_CellBlock):
    """Two 3x3 convolutions, the first of stride 2, beside average pooling and a 1x1 convolution (He et al., 2016)."""

    stride: int = 2

    def build(self) -> nn.Module:
        return _ResidualReduction(self)


class _ResidualReduction(nn.Module):
    def __init__(self, block: ResidualReduction) -> None:
        super().__init__()
        first = ReLUConvNorm(block.size, block.in_channels, block.out_channels, 2, 3)
        second = ReLUConvNorm(strided(block.size, 2), block.out_channels, block.out_channels, 1, 3)
        self.convolve = nn.Sequential(first.build(), second.build())
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), _conv(block.in_channels, block.out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convolve(x) + self.shortcut(x)
        return y


@dataclasses.dataclass(frozen=True)
class NormClassifier(Block):
    """Batch normalisation, ReLU, average over the image, linear classifier."""

    size: int
    in_channels: int
    n_classes: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec((self.in_channels, self.size, self.size)),)

    @property
    def output(self) -> TensorSpec:
        return TensorSpec((self.n_classes,))

    def build(self) -> nn.Module:
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        classify = nn.Linear(self.in_channels, self.n_classes)
        return nn.Sequential(nn.BatchNorm2d(self.in_channels), nn.ReLU(), *pool, classify)
