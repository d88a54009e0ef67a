"""Blocks of point-voxel networks on dense grids (PVCNN, Liu et al., NeurIPS 2019), for clouds of any number of points.

Points of all clouds of a batch are rows of one matrix, and `cloud` says whose each is. So no cloud is padded or
sampled, and the rows of a result are those of the points that went in.
"""

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.block import Block, TensorSpec
from search_spaces.blocks.row_norm import RowNorm

POINTS, CLOUDS = "points", "batch"
"""The names of the two leading axes: one row a point, one row a cloud."""


@dataclasses.dataclass(frozen=True)
class _PointBlock(Block):
    """A block that is run on clouds of about `n_points` points."""

    n_points: int
    in_channels: int

    def _points(self, channels: int, name: str = "input") -> TensorSpec:
        return TensorSpec((channels,), name, POINTS, self.n_points)

    @property
    def _cloud(self) -> TensorSpec:
        return TensorSpec((), "cloud", POINTS, self.n_points, "int64", below=1)

    def example(self, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return random tensors, of clouds that lie one after another, each in the cube of side 1 about the origin."""
        special = {
            "cloud": torch.arange(batch_size).repeat_interleave(self.n_points),
            "coordinates": torch.rand(batch_size * self.n_points, 3, generator=generator) - 0.5,
            "cube": torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(batch_size, 1),
        }
        return tuple(special.get(spec.name, spec.draw(batch_size, generator)) for spec in self.inputs)

    @property
    def growing(self) -> tuple[str, ...]:
        return ("in_channels", "out_channels", "widths")


@dataclasses.dataclass(frozen=True)
class PointVoxelConv(_PointBlock):
    """Two 3x3x3 convolutions on a grid of `resolution`^3 voxels a cloud, beside a linear layer on the points.

    The grid holds the mean of the points in each voxel, and is read by trilinear interpolation. Both branches are
    normalised, and added. With `squeeze_excite`, the grid's channels are weighted by their means (Hu et al., CVPR
    2018).
    """

    out_channels: int
    resolution: int
    squeeze_excite: bool

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Features (points, in_channels), coordinates (points, 3), cloud (points,), cube (clouds, 4): centre, side."""
        return (
            self._points(self.in_channels, "features"),
            self._points(3, "coordinates"),
            self._cloud,
            TensorSpec((4,), "cube", CLOUDS),
        )

    @property
    def output(self) -> TensorSpec:
        return self._points(self.out_channels, "output")

    def build(self) -> nn.Module:
        return _PointVoxelConv(self)


class _PointVoxelConv(nn.Module):
    def __init__(self, block: PointVoxelConv) -> None:
        super().__init__()
        self.resolution = block.resolution
        layers: list[nn.Module] = []
        for channels in (block.in_channels, block.out_channels):
            conv = nn.Conv3d(channels, block.out_channels, 3, padding=1)
            layers += [conv, nn.BatchNorm3d(block.out_channels, eps=1e-4), nn.LeakyReLU(0.1)]
        self.voxels = nn.Sequential(*layers)
        self.attend = _SqueezeExcite(block.out_channels) if block.squeeze_excite else nn.Identity()
        self.points = _linear_norm(block.in_channels, block.out_channels)

    def forward(self, features: Tensor, coordinates: Tensor, cloud: Tensor, cube: Tensor) -> Tensor:
        r, n_clouds = self.resolution, cube.shape[0]
        place = in_grid(coordinates, cloud, cube, r)
        sums, counts = _voxel_sums(features, _rows(place.round().long(), cloud, r), n_clouds * r**3)
        grid = (sums / counts.clamp(min=1)).view(n_clouds, r, r, r, -1).permute(0, 4, 1, 2, 3)
        grid = self.attend(self.voxels(grid))
        rows = grid.permute(0, 2, 3, 4, 1).reshape(n_clouds * r**3, -1)
        interpolated = _interpolate(rows, place, cloud, r)
        result: Tensor = interpolated + self.points(features)
        return result


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // 8, bias=False)
        self.expand = nn.Linear(channels // 8, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.expand(self.reduce(x.mean((2, 3, 4))).relu()).sigmoid()
        weighted: Tensor = x * scale[:, :, None, None, None]
        return weighted


def _linear_norm(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_channels, out_channels), RowNorm(out_channels), nn.ReLU())


def in_grid(coordinates: Tensor, cloud: Tensor, cube: Tensor, resolution: int) -> Tensor:
    """Return the place (points, 3) of each point in its cloud's grid: voxel centres are whole numbers."""
    centre, side = cube[:, :3][cloud], cube[:, 3:][cloud]
    place: Tensor = ((coordinates - centre) / side + 0.5) * resolution
    return place.clamp(0, resolution - 1)


def _rows(voxel: Tensor, cloud: Tensor, resolution: int) -> Tensor:
    """Return the row (points,) of voxels (points, 3) in the matrix of all clouds' voxels."""
    x, y, z = voxel.unbind(1)
    return ((cloud * resolution + x) * resolution + y) * resolution + z


def _voxel_sums(features: Tensor, voxel: Tensor, n_voxels: int) -> tuple[Tensor, Tensor]:
    """Return (n_voxels, channels) and (n_voxels, 1): the sum of the points in each voxel, and how many there are."""
    # in bfloat16, counts and sums would stop where one more is rounded away
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    # Not index_add, which becomes ScatterND: there, threads of onnxruntime 1.31 lose sums at repeated indices.
    sums = features.new_zeros(n_voxels, features.shape[1]).scatter_add(0, voxel[:, None].expand_as(features), features)
    counts = features.new_zeros(n_voxels).scatter_add(0, voxel, features.new_ones(voxel.shape[0]))
    return sums, counts[:, None]


def _interpolate(rows: Tensor, place: Tensor, cloud: Tensor, resolution: int) -> Tensor:
    """Return (points, channels): the voxels' features (n_voxels, channels) between the eight about each place."""
    low = place.floor()
    share = place - low
    corner = torch.stack([low, (low + 1).clamp(max=resolution - 1)], 2).long()  # (points, axes, 2)
    weight = torch.stack([1 - share, share], 2)
    x, y, z = corner.unbind(1)
    x = (x + cloud[:, None] * resolution) * resolution**2
    index = x[:, :, None, None] + (y * resolution)[:, None, :, None] + z[:, None, None, :]
    weight_x, weight_y, weight_z = weight.unbind(1)
    weight = weight_x[:, :, None, None] * weight_y[:, None, :, None] * weight_z[:, None, None, :]
    near = F.embedding(index.flatten(1), rows)  # (points, 8, channels)
    return torch.bmm(weight.flatten(1)[:, None].to(near.dtype), near).squeeze(1)


@dataclasses.dataclass(frozen=True)
class PointMLP(_PointBlock):
    """A linear layer on every point, batch normalisation, rectifier."""

    out_channels: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (self._points(self.in_channels),)

    @property
    def output(self) -> TensorSpec:
        return self._points(self.out_channels, "output")

    def build(self) -> nn.Module:
        return _linear_norm(self.in_channels, self.out_channels)


@dataclasses.dataclass(frozen=True)
class CloudFeatures(_PointBlock):
    """The maximum over each cloud's points of non-negative features, then linear layers of some widths."""

    widths: tuple[int, ...]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Features (points, in_channels); cloud (points,); cube (clouds, 4), which says how many clouds there are."""
        return self._points(self.in_channels, "features"), self._cloud, TensorSpec((4,), "cube", CLOUDS)

    @property
    def output(self) -> TensorSpec:
        return TensorSpec(((self.in_channels, *self.widths)[-1],), "output", CLOUDS)

    def build(self) -> nn.Module:
        return _CloudFeatures(self.in_channels, self.widths)


class _CloudFeatures(nn.Module):
    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for width in widths:
            self.layers.extend([nn.Linear(channels, width), RowNorm(width), nn.ReLU()])
            channels = width

    def forward(self, features: Tensor, cloud: Tensor, cube: Tensor) -> Tensor:
        empty = features.new_zeros(cube.shape[0], features.shape[1])
        largest = empty.scatter_reduce(0, cloud[:, None].expand_as(features), features, "amax")
        result: Tensor = self.layers(largest)
        return result


@dataclasses.dataclass(frozen=True)
class CloudClassifier(CloudFeatures):
    """Features of each cloud as in `CloudFeatures`, dropout, linear classifier."""

    dropout: float
    n_classes: int

    @property
    def output(self) -> TensorSpec:
        return TensorSpec((self.n_classes,), "output", CLOUDS)

    def build(self) -> nn.Module:
        return _CloudClassifier(self)


class _CloudClassifier(_CloudFeatures):
    def __init__(self, block: CloudClassifier) -> None:
        super().__init__(block.in_channels, block.widths)
        self.dropout = nn.Dropout(block.dropout)
        self.classifier = nn.Linear((block.in_channels, *block.widths)[-1], block.n_classes)

    def forward(self, features: Tensor, cloud: Tensor, cube: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(super().forward(features, cloud, cube)))
        return logits


@dataclasses.dataclass(frozen=True)
class CloudMix(_PointBlock):
    """A linear layer on every cloud, handed to each of its points.

    With `PointMix` it makes up a linear layer over the concatenation of what both read: a sum of layers with a
    parameter each, so that with fewer channels every one is still a leading slice.
    """

    out_channels: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return TensorSpec((self.in_channels,), "input", CLOUDS), self._cloud

    @property
    def output(self) -> TensorSpec:
        return self._points(self.out_channels, "output")

    def build(self) -> nn.Module:
        return _CloudMix(self)


class _CloudMix(nn.Module):
    def __init__(self, block: CloudMix) -> None:
        super().__init__()
        self.linear = nn.Linear(block.in_channels, block.out_channels)

    def forward(self, features: Tensor, cloud: Tensor) -> Tensor:
        mixed: Tensor = self.linear(features)[cloud]
        return mixed


@dataclasses.dataclass(frozen=True)
class PointMix(_PointBlock):
    """A linear layer without bias on every point, added to a sum."""

    out_channels: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._points(self.in_channels), self._points(self.out_channels, "sum")

    @property
    def output(self) -> TensorSpec:
        return self._points(self.out_channels, "output")

    def build(self) -> nn.Module:
        return _PointMix(self)


class _PointMix(nn.Module):
    def __init__(self, block: PointMix) -> None:
        super().__init__()
        self.linear = nn.Linear(block.in_channels, block.out_channels, bias=False)

    def forward(self, features: Tensor, total: Tensor) -> Tensor:
        mixed: Tensor = total + self.linear(features)
        return mixed


@dataclasses.dataclass(frozen=True)
class PointClassifier(_PointBlock):
    """Normalisation, rectifier and dropout of a mixed sum, then such linear layers of some widths, then a classifier.

    `dropouts` has an entry for the sum, and one for each layer.
    """

    widths: tuple[int, ...]
    dropouts: tuple[float, ...]
    n_classes: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (self._points(self.in_channels),)

    @property
    def output(self) -> TensorSpec:
        return self._points(self.n_classes, "output")

    def build(self) -> nn.Module:
        layers: list[nn.Module] = [RowNorm(self.in_channels), nn.ReLU(), nn.Dropout(self.dropouts[0])]
        channels = self.in_channels
        for width, dropout in zip(self.widths, self.dropouts[1:], strict=True):
            layers += [*_linear_norm(channels, width), nn.Dropout(dropout)]
            channels = width
        return nn.Sequential(*layers, nn.Linear(channels, self.n_classes))
