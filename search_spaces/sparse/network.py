"""A point-voxel U-Net (SPVCNN; Tang et al., ECCV 2020): its plan for given widths, and its inputs."""

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import torch
from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass as options
from torch import Tensor, nn

from search_spaces.block import Block, TensorSpec
from search_spaces.blocks.sparse import (
    Addend,
    Downsampling,
    PointwiseConvolution,
    SparseConvolution,
    Upsampling,
)
from search_spaces.blocks.sparse_points import LinearClassifier, PointsToVoxels, PointTransform, VoxelsToPoints
from search_spaces.network_inputs import sparse as sparse_inputs
from search_spaces.points import PointClouds
from search_spaces.space import SearchSpace
from search_spaces.sparse import drawn
from search_spaces.sparse.forms import (
    AVERAGING,
    INTERPOLATION,
    child_lists,
    corner_lists,
    features,
    merge_lists,
    neighbour_lists,
    points_in_voxels,
)
from search_spaces.sparse.geometry import N_STRIDES, count_rows, geometry
from search_spaces.sparse.wiring import PointVoxelUNet

Rows = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...],
    Field(min_length=N_STRIDES, max_length=N_STRIDES, validate_default=True),
]
"""A number of rows for each stride; defaults, too, have to fit the other numbers."""

DROPOUT = 0.3


@dataclass(frozen=True)
class Stage:
    """Widths of one stage: a transition, then a residual block for each middle width.

    Attributes:
        transition: channels behind the transition.
        middles: channels between the two convolutions of each residual block.
        channels: channels behind each residual block.
        projected: whether the first block's shortcut is a convolution; after a concatenation it always is.
    """

    transition: int
    middles: tuple[int, ...]
    channels: int
    projected: bool = True


@dataclass(frozen=True)
class Widths:
    """Widths of a whole network: of the stem, of the stages down, and of as many up."""

    stem: int
    down: tuple[Stage, ...]
    up: tuple[Stage, ...]


@options(frozen=True, config={"extra": "forbid"})
class SparsePointVoxelSpace(SearchSpace):
    """A space of point-voxel U-Nets; a subclass says which widths its options mean.

    The numbers of rows are those of a typical frame: blocks are measured at them (`geometry.count_rows`).
    """

    reads: ClassVar[str] = "clouds"
    absent = "addend"
    n_stages: ClassVar[int] = 4

    n_classes: int = Field(default=19, ge=2, description="classes of the data")
    task: Literal["segmentation"] = Field(default="segmentation", description="what is classified: every point")
    in_channels: int = Field(default=4, ge=1, description="features of a point, such as x, y, z and remission")
    voxel_size: float = Field(
        default=0.05, gt=0, allow_inf_nan=False, description="edge of a voxel at stride 1, in metres"
    )
    n_points: int = Field(default=123389, ge=1, description="points of a typical frame")
    n_voxels: Rows = Field(
        default=(94444, 68642, 42024, 21311, 9483), description="its voxels at strides 1, 2, 4, 8, 16"
    )
    n_pairs: Rows = Field(
        default=(94927, 118504, 112338, 71165, 36418), description="its pairs of adjacent voxels, by stride"
    )
    n_corners: Rows = Field(
        default=(254905, 344834, 455253, 535562, 582522), description="its occupied voxels around points, by stride"
    )

    @field_validator("n_voxels")
    @classmethod
    def _voxels_hold_one_another(cls, n_voxels: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if n_voxels[0] >= info.data.get("n_points", n_voxels[0] + 1):
            raise ValueError("there are fewer voxels than n_points")
        if any(not coarse <= fine <= 8 * coarse for fine, coarse in pairwise(n_voxels)):
            raise ValueError("a voxel has one to eight of half its stride: fewer from stride to stride, by at most 8")
        return n_voxels

    @field_validator("n_pairs")
    @classmethod
    def _voxels_have_neighbours(cls, n_pairs: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if any(pairs > 13 * voxels for pairs, voxels in zip(n_pairs, info.data.get("n_voxels", n_pairs), strict=True)):
            raise ValueError("a voxel has at most 26 neighbours: at most 13 times n_voxels")
        return n_pairs

    @field_validator("n_corners")
    @classmethod
    def _points_have_corners(cls, n_corners: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        n_points = info.data.get("n_points", n_corners[0])
        if any(not n_points <= n <= 8 * n_points for n in n_corners):
            raise ValueError("a point has one to eight occupied voxels around it: between n_points and 8 times that")
        return n_corners

    @abstractmethod
    def widths(self, options: Mapping[str, Any]) -> Widths:
        """Return the widths that an architecture means."""

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Stem, stages down, stages up, with the points' way beside them; classifier."""
        widths = self.widths(options)
        yield "voxelise", self._to_voxels(0, self.in_channels, 0.0)
        yield "stem1", self._convolution(0, self.in_channels, widths.stem)
        yield "stem2", self._convolution(0, widths.stem, widths.stem)
        yield "to_points0", self._to_points(0, self.in_channels, widths.stem, added=False)
        yield "to_voxels0", self._to_voxels(0, widths.stem, 0.0)
        levels = [widths.stem]  # channels by level, as far as they are down
        for level, stage in enumerate(widths.down, 1):
            rows = self.n_voxels[level - 1], self.n_voxels[level]
            yield f"down{level}_transition", Downsampling(*rows, levels[-1], stage.transition)
            yield from self._residuals(f"down{level}", level, stage, None)
            levels.append(stage.channels)
        channels = levels[-1]
        yield from self._meet(1, self.n_stages, widths.stem, channels)
        yield "to_voxels1", self._to_voxels(self.n_stages, channels, DROPOUT)
        for number, stage in enumerate(widths.up, 1):
            level = self.n_stages - number
            rows = self.n_voxels[level], self.n_voxels[level + 1]
            yield f"up{number}_transition", Upsampling(*rows, channels, stage.transition)
            yield from self._residuals(f"up{number}", level, stage, levels[level])
            channels = stage.channels
            if level == self._middle:
                yield from self._meet(2, level, levels[-1], channels)
                yield "to_voxels2", self._to_voxels(level, channels, DROPOUT)
        yield from self._meet(3, 0, widths.up[self.n_stages - self._middle - 1].channels, channels)
        yield "classifier", LinearClassifier(self.n_points, channels, self.n_classes)

    def _residuals(self, name: str, level: int, stage: Stage, skip: int | None) -> Iterator[tuple[str, Block]]:
        """Residual blocks; the first of them, with `skip` channels to be concatenated, as sums of two convolutions."""
        channels = stage.transition
        for number, middle in enumerate(stage.middles, 1):
            block = f"{name}_block{number}"
            joined: Addend = "none"
            if number == 1 and skip is not None:
                joined = "before the norm"
                yield f"{block}_skip", self._convolution(level, skip, middle, partial=True)
                yield f"{block}_shortcut_skip", self._shortcut(level, skip, stage.channels, partial=True)
            if number == 1 and stage.projected:
                yield f"{block}_shortcut", self._shortcut(level, channels, stage.channels, joined)
            yield f"{block}_conv1", self._convolution(level, channels, middle, joined)
            yield f"{block}_conv2", self._convolution(level, middle, stage.channels, "after the norm")
            channels = stage.channels

    def _meet(self, number: int, level: int, before: int, channels: int) -> Iterator[tuple[str, Block]]:
        """The points' features, transformed, and those of the voxels around them."""
        yield f"transform{number}", PointTransform(self.n_points, before, channels)
        yield f"to_points{number}", self._to_points(level, channels, channels, added=True)

    def _convolution(
        self, level: int, before: int, channels: int, addend: Addend = "none", partial: bool = False
    ) -> Block:
        return SparseConvolution(self.n_voxels[level], before, channels, addend, partial, self.n_pairs[level])

    def _shortcut(
        self, level: int, before: int, channels: int, addend: Addend = "none", partial: bool = False
    ) -> Block:
        return PointwiseConvolution(self.n_voxels[level], before, channels, addend, partial)

    def _to_voxels(self, level: int, channels: int, dropout: float) -> Block:
        return PointsToVoxels(self.n_points, self.n_voxels[level], channels, dropout)

    def _to_points(self, level: int, before: int, channels: int, *, added: bool) -> Block:
        return VoxelsToPoints(self.n_points, self.n_voxels[level], self.n_corners[level], before, channels, added)

    @property
    def _middle(self) -> int:
        """The level, on the way up, at which points and voxels meet between the coarsest and the finest."""
        return self.n_stages - self.n_stages // 2

    @property
    def preparation(self) -> dict[str, Any]:
        """The arguments of `geometry`, and of `inputs_from_points`, that make this space's inputs."""
        meeting = (1, 1 << self._middle, 1 << self.n_stages)
        return {"voxel_size": self.voxel_size, "n_strides": self.n_stages + 1, "point_strides": meeting}

    def bundle_files(self) -> dict[str, str]:
        """Return the file that makes this space's inputs in NumPy alone, with its own defaults."""
        lines = inspect.getsource(sparse_inputs).splitlines(keepends=True)
        for name, value in self.preparation.items():
            (at,) = (i for i, line in enumerate(lines) if line.startswith(f"{name.upper()} = "))
            lines[at] = f"{name.upper()} = {value!r}\n"
        return {"inputs_from_points.py": "".join(lines)}

    def scene_options(self, batch: PointClouds, quantile: float) -> dict[str, Any]:
        """Return the options that say how many rows one of some frames has, chosen by its number of voxels."""
        rows = count_rows(batch, self.voxel_size)
        return rows[round(quantile * (len(rows) - 1))]

    def inputs(self, architecture: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
        """The points' features, and the lists of every stride; the same for every architecture."""
        specs = [features("points", self.n_points, self.in_channels, "points")]
        for level in range(self.n_stages + 1):
            suffix, n_voxels = f"_{1 << level}", self.n_voxels[level]
            if level > 0:
                specs += child_lists(self.n_voxels[level - 1], suffix, f"voxels_{1 << level - 1}")
            specs += [*neighbour_lists(n_voxels, self.n_pairs[level], suffix), points_in_voxels(n_voxels, suffix)]
            if 1 << level in self.preparation["point_strides"]:
                specs += merge_lists(self.n_points, n_voxels, suffix)
                specs += corner_lists(self.n_points, self.n_corners[level], suffix)
        return tuple(specs)

    def example(
        self, architecture: Mapping[str, Any], batch_size: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Random features on lists of no scene's, with the planned numbers of rows."""
        lists: dict[str, Tensor] = {}
        for level in range(self.n_stages + 1):
            lists |= self._drawn(level, batch_size)
        specs = self.inputs(architecture)
        return tuple(lists[s.name] if s.name in lists else s.draw(batch_size, generator) for s in specs)

    def _drawn(self, level: int, n_frames: int) -> dict[str, Tensor]:
        stride, n_voxels = 1 << level, self.n_voxels[level]
        lists = {}
        if level > 0:
            pairs = drawn.children(self.n_voxels[level - 1], n_voxels, n_frames)
            lists[f"children_{stride}"], lists[f"child_counts_{stride}"] = pairs
        pairs = drawn.neighbours(n_voxels, self.n_pairs[level], n_frames)
        lists[f"neighbours_{stride}"], lists[f"neighbour_counts_{stride}"] = pairs
        points = drawn.points(self.n_points, n_voxels, n_frames)
        lists |= zip((f"{name}_{stride}" for name in AVERAGING), points, strict=True)
        corners = drawn.corners(self.n_points, n_voxels, self.n_corners[level], n_frames)
        return lists | dict(zip((f"{name}_{stride}" for name in INTERPOLATION), corners, strict=True))

    def prepare(self, batch: PointClouds, architecture: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """The points' features and their geometry, which is made once and shared by all subnets.

        Raises:
            InputError: the points cannot be used.
        """
        batch.require_features(self.in_channels)
        made = _GEOMETRIES.setdefault(batch, {})
        key = self.voxel_size, self.n_stages
        if key not in made:
            with torch.inference_mode(False):  # whoever asks first, the lists serve training too
                made[key] = geometry(batch, **self.preparation)
        lists = made[key] | {"points": batch.features}
        return tuple(lists[spec.name] for spec in self.inputs(architecture))

    def assemble(self, modules: Mapping[str, nn.Module]) -> nn.Module:
        """A U-Net with the points beside it."""
        names = tuple(spec.name for spec in self.inputs({}))
        return PointVoxelUNet(modules, names, self.n_stages, self._middle)


_GEOMETRIES: WeakKeyDictionary[PointClouds, dict[tuple[float, int], dict[str, Tensor]]] = WeakKeyDictionary()
"""What was made of a batch, for as long as it lives."""
