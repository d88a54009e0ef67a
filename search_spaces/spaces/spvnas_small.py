"""A small point-voxel space that trains in minutes on two CPU cores."""

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from search_spaces.spaces.spvnas import SPVNAS, Bounds
from search_spaces.sparse.network import Rows


@dataclass(frozen=True, config={"extra": "forbid"})
class SPVNASSmall(SPVNAS):
    """SPVNAS with three stages each way, fewer channels and larger voxels: 7.05e11 networks."""

    name: ClassVar[str] = "spvnas_small"
    n_stages: ClassVar[int] = 3
    stem: ClassVar[int] = 16
    down: ClassVar[tuple[Bounds, ...]] = ((16, 32), (16, 48), (32, 64))
    up: ClassVar[tuple[Bounds, ...]] = ((32, 64), (16, 48), (16, 32))
    shares: ClassVar[tuple[float, ...]] = (1 / 4, 1 / 2, 1)

    voxel_size: float = Field(
        default=0.2, gt=0, allow_inf_nan=False, description="edge of a voxel at stride 1, in metres"
    )
    n_voxels: Rows = Field(default=(42024, 21311, 9483, 3749, 1367), description="its voxels at strides 1, 2, 4, 8, 16")
    n_pairs: Rows = Field(
        default=(112338, 71165, 36418, 15795, 6435), description="its pairs of adjacent voxels, by stride"
    )
    n_corners: Rows = Field(
        default=(455253, 535562, 582522, 633256, 621370), description="its occupied voxels around points, by stride"
    )
