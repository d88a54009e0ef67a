"""The points' part of sparse point-voxel networks: the ways between them and voxels, and layers on each of them.

As in `blocks.sparse`, a block's record holds the numbers of rows of a typical frame.
"""

import dataclasses

from torch import Tensor, nn

from search_spaces.block import Block, TensorSpec
from search_spaces.blocks.row_norm import RowNorm
from search_spaces.blocks.sparse import SparseBlock
from search_spaces.sparse import drawn
from search_spaces.sparse.forms import AVERAGING, INTERPOLATION, corner_lists, features, merge_lists, points_in_voxels
from search_spaces.sparse.operations import average_points, interpolate


@dataclasses.dataclass(frozen=True)
class PointsToVoxels(SparseBlock):
    """Each voxel gets the average of its points, and dropout."""

    n_points: int
    n_voxels: int
    channels: int
    dropout: float

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        x = features("points", self.n_points, self.channels)
        return x, *merge_lists(self.n_points, self.n_voxels), points_in_voxels(self.n_voxels)

    @property
    def output(self) -> TensorSpec:
        return features("voxels", self.n_voxels, self.channels)

    def _lists(self, n_frames: int) -> dict[str, Tensor]:
        return dict(zip(AVERAGING, drawn.points(self.n_points, self.n_voxels, n_frames), strict=True))

    def build(self) -> nn.Module:
        return _PointsToVoxels(self)

    @property
    def growing(self) -> tuple[str, ...]:
        return ("channels",)


class _PointsToVoxels(nn.Module):
    def __init__(self, block: PointsToVoxels) -> None:
        super().__init__()
        self.dropout = nn.Dropout(block.dropout)

    def forward(self, x: Tensor, merges: Tensor, counts: Tensor, first: Tensor, n_points: Tensor) -> Tensor:
        y: Tensor = self.dropout(average_points(x, merges, counts, first, n_points))
        return y


@dataclasses.dataclass(frozen=True)
class VoxelsToPoints(SparseBlock):
    """Each point, of `before` channels, gets what its position has between the voxels around it; or that is `added`."""

    n_points: int
    n_voxels: int
    n_corners: int
    before: int
    channels: int
    added: bool

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        x = features("voxels", self.n_voxels, self.channels)
        points = features("points", self.n_points, self.before, "points")
        return (x, *corner_lists(self.n_points, self.n_corners), points)

    @property
    def output(self) -> TensorSpec:
        return features("points", self.n_points, self.channels)

    def _lists(self, n_frames: int) -> dict[str, Tensor]:
        lists = drawn.corners(self.n_points, self.n_voxels, self.n_corners, n_frames)
        return dict(zip(INTERPOLATION, lists, strict=True))

    def build(self) -> nn.Module:
        return _VoxelsToPoints(self.added)

    @property
    def growing(self) -> tuple[str, ...]:
        return ("before", "channels")


class _VoxelsToPoints(nn.Module):
    def __init__(self, added: bool) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor, corners: Tensor, counts: Tensor, shares: Tensor, points: Tensor) -> Tensor:
        y: Tensor = interpolate(x, corners, counts, shares, points)
        return points + y if self.added else y


@dataclasses.dataclass(frozen=True)
class _Pointwise(Block):
    n_points: int
    in_channels: int
    out_channels: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (features("points", self.n_points, self.in_channels),)

    @property
    def output(self) -> TensorSpec:
        return features("points", self.n_points, self.out_channels)

    @property
    def growing(self) -> tuple[str, ...]:
        return ("in_channels", "out_channels")


@dataclasses.dataclass(frozen=True)
class PointTransform(_Pointwise):
    """Linear, batch normalisation, activation."""

    def build(self) -> nn.Module:
        norm = RowNorm(self.out_channels)
        return nn.Sequential(nn.Linear(self.in_channels, self.out_channels), norm, nn.ReLU())


@dataclasses.dataclass(frozen=True)
class LinearClassifier(_Pointwise):
    """Linear."""

    def build(self) -> nn.Module:
        return nn.Linear(self.in_channels, self.out_channels)
