"""Point-voxel networks on dense grids (PVCNN, Liu et al., NeurIPS 2019) with elastic width, depth and resolution."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from search_spaces.block import Block
from search_spaces.blocks.mobile import divisible
from search_spaces.blocks.pvcnn import (
    CloudClassifier,
    CloudFeatures,
    CloudMix,
    PointClassifier,
    PointMix,
    PointMLP,
    PointVoxelConv,
)
from search_spaces.network_inputs import pvcnn as pvcnn_inputs
from search_spaces.points import PointClouds
from search_spaces.space import Choice, SearchSpace


@plain_dataclass(frozen=True)
class _Published:
    """A published network.

    Attributes:
        stages: of point-voxel convolutions: channels, depth, voxels along each side of the grid.
        widths: of the linear layers on points behind them.
        cloud_widths: of the linear layers on each cloud's maximum.
        head_widths: of the linear layers on all features.
        dropouts: behind each of those.
        squeeze_excite: whether the grids' channels are weighted.
    """

    stages: tuple[tuple[int, int, int], ...]
    widths: tuple[int, ...]
    cloud_widths: tuple[int, ...]
    head_widths: tuple[int, ...]
    dropouts: tuple[float, ...]
    squeeze_excite: bool


_PUBLISHED = {
    "s3dis": _Published(
        stages=((64, 1, 32), (64, 2, 16), (128, 1, 16)),
        widths=(1024,),
        cloud_widths=(256, 128),
        head_widths=(512, 256),
        dropouts=(0.3, 0.3),
        squeeze_excite=False,
    ),
    "shapenet": _Published(
        stages=((64, 1, 32), (128, 2, 16)),
        widths=(512, 2048),
        cloud_widths=(),
        head_widths=(256, 256, 128),
        dropouts=(0.2, 0.2, 0.0),
        squeeze_excite=True,
    ),
}


@dataclass(frozen=True, config={"extra": "forbid"})
class PVCNN(SearchSpace):
    """Stages of point-voxel convolutions, then linear layers on points; every feature reaches the classifier.

    The largest network is the published one, for indoor scenes (`s3dis`) or parts of objects (`shapenet`; without the
    object's category, which scenes do not have). In segmentation, rows of the result are points; in classification,
    clouds: the maximum over a cloud's points goes through the layers of the head alone.

    A network reads `features` (points, in_channels), `coordinates` (points, 3), `cloud` (points,), the number of each
    point's cloud, and `cube` (clouds, 4), the centre and the side of the cube that a cloud's grid covers. Published
    code samples the same number of points from every cloud to stack them; rows of one matrix need no sampling, so every
    point gets its own scores. `n_points` decides nothing but the number of points that latency is measured with.
    """

    name: ClassVar[str] = "pvcnn"
    absent = "unknown"
    reads: ClassVar[str] = "clouds"
    shares: ClassVar[tuple[float, ...]] = (0.25, 0.5, 0.75, 1.0)
    resolution_shares: ClassVar[tuple[float, ...]] = (0.5, 0.75, 1.0)

    n_classes: int = Field(default=13, ge=2, description="classes of the data")
    in_channels: int = Field(default=9, ge=1, description="features of a point")
    n_points: int = Field(default=4096, ge=1, description="points of a typical cloud")
    network: Literal["s3dis", "shapenet"] = Field(default="s3dis", description="the published network that is largest")
    task: Literal["segmentation", "classification"] = Field(default="segmentation", description="what is classified")
    width: float = Field(default=1.0, gt=0, le=4, description="width multiplier of every layer")
    grid: float = Field(default=1.0, ge=0.25, le=4, description="multiplier of every grid's resolution")

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Of each stage width, resolution, and after the first depth; widths of the other layers; share of the head."""
        published = _PUBLISHED[self.network]
        choices = []
        for stage, (channels, depth, resolution) in enumerate(published.stages, 1):
            choices.append(Choice(f"width_{stage}", self._widths(channels)))
            sizes = [round(resolution * self.grid * share) for share in self.resolution_shares]
            choices.append(Choice(f"resolution_{stage}", tuple(sizes)))
            if stage > 1:
                choices.append(Choice(f"depth_{stage}", tuple(range(depth + 1))))
        for number, channels in enumerate(published.widths, len(published.stages) + 1):
            choices.append(Choice(f"width_{number}", self._widths(channels)))
        return (*choices, Choice("head", self.shares))

    def _widths(self, channels: int) -> tuple[int, ...]:
        widths = {divisible(channels * self.width * share) for share in self.shares}
        return tuple(sorted(widths))

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """The layers on points, the layers on clouds, what mixes their features into one sum, the classifier."""
        features = dict(self._layers(options))
        yield from features.items()
        channels = {slot: block.output.shape[0] for slot, block in features.items()}
        last = list(channels.values())[-1]
        published = _PUBLISHED[self.network]
        head_widths = [divisible(width * self.width * options["head"]) for width in published.head_widths]
        if self.task == "classification":
            dropout = published.dropouts[0]
            yield "head", CloudClassifier(self.n_points, last, tuple(head_widths), dropout, self.n_classes)
            return
        cloud_widths = tuple(divisible(width * self.width * options["head"]) for width in published.cloud_widths)
        cloud = CloudFeatures(self.n_points, last, cloud_widths)
        mixed, *hidden = head_widths
        yield "cloud", cloud
        yield "mix_cloud", CloudMix(self.n_points, cloud.output.shape[0], mixed)
        for slot, width in channels.items():
            yield f"mix_{slot}", PointMix(self.n_points, width, mixed)
        yield "head", PointClassifier(self.n_points, mixed, tuple(hidden), published.dropouts, self.n_classes)

    def _layers(self, options: Mapping[str, Any]) -> Iterator[tuple[str, PointVoxelConv | PointMLP]]:
        published = _PUBLISHED[self.network]
        channels = self.in_channels
        for stage in range(1, len(published.stages) + 1):
            width, resolution = options[f"width_{stage}"], options[f"resolution_{stage}"]
            for number in range(1, options.get(f"depth_{stage}", 1) + 1):
                yield (
                    f"stage{stage}_block{number}",
                    PointVoxelConv(self.n_points, channels, width, resolution, published.squeeze_excite),
                )
                channels = width
        for number in range(len(published.stages) + 1, len(published.stages) + len(published.widths) + 1):
            width = options[f"width_{number}"]
            yield f"points{number}", PointMLP(self.n_points, channels, width)
            channels = width

    def assemble(self, modules: Mapping[str, nn.Module]) -> nn.Module:
        """Wire the blocks: every layer's features go to the next one, and to what mixes them."""
        return _Network(modules)

    def prepare(self, batch: PointClouds, architecture: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """Return features, coordinates, cloud, cube; the rows of the network's result are those of the batch's points.

        Args:
            batch: clouds of any sizes.
            architecture: of no influence.

        Raises:
            InputError: the points cannot be used.
        """
        batch.require_features(self.in_channels)
        batch.require_usable()
        return batch.features, batch.coordinates, batch.cloud, cubes(batch)

    def bundle_files(self) -> dict[str, str]:
        """Return the file that makes the inputs in NumPy alone."""
        return {"inputs_from_points.py": inspect.getsource(pvcnn_inputs)}

    def scene_options(self, batch: PointClouds, quantile: float) -> dict[str, Any]:
        """Return the number of points of one of some clouds, to two digits, so that like data have equal blocks."""
        n_points = torch.bincount(batch.cloud, minlength=batch.n_clouds).sort().values
        chosen = int(n_points[round(quantile * (len(n_points) - 1))])
        return {"n_points": int(round(chosen, 2 - len(str(chosen))))}


def cubes(batch: PointClouds) -> Tensor:
    """Return (clouds, 4): the mean of each cloud's points, and twice the distance of the farthest one from it."""
    coordinates, cloud = batch.coordinates.double(), batch.cloud  # sums of 100,000 points
    n_points = torch.bincount(cloud, minlength=batch.n_clouds)
    sums = coordinates.new_zeros(batch.n_clouds, 3).index_add(0, cloud, coordinates)
    centre = sums / n_points[:, None]
    distance = (coordinates - centre[cloud]).norm(dim=1)
    farthest = coordinates.new_zeros(batch.n_clouds).scatter_reduce(0, cloud, distance, "amax")
    # of a cloud of one point, any cube will do
    side = torch.where(farthest > 0, 2 * farthest, 1.0)
    return torch.cat([centre, side[:, None]], 1).to(batch.coordinates.dtype)


class _Network(nn.Module):
    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for slot, module in modules.items():
            self.add_module(slot, module)
        self._layers = [slot for slot in modules if slot.startswith(("stage", "points"))]

    def forward(self, features: Tensor, coordinates: Tensor, cloud: Tensor, cube: Tensor) -> Tensor:
        found = {}
        for slot in self._layers:
            layer = self.get_submodule(slot)
            convolves = slot.startswith("stage")
            features = layer(features, coordinates, cloud, cube) if convolves else layer(features)
            found[slot] = features
        head = self.get_submodule("head")
        if "cloud" not in self._modules:
            return head(features, cloud, cube)  # type: ignore[no-any-return]
        total = self.get_submodule("mix_cloud")(self.get_submodule("cloud")(features, cloud, cube), cloud)
        for slot, features in found.items():
            total = self.get_submodule(f"mix_{slot}")(features, total)
        return head(total)  # type: ignore[no-any-return]
