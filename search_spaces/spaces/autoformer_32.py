"""A vision transformer space for images of 32x32 pixels, small enough to train in minutes on two CPU cores."""

from typing import ClassVar

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from search_spaces.spaces.autoformer_tiny import AutoFormerTiny


@dataclass(frozen=True, config={"extra": "forbid"})
class AutoFormerFor32(AutoFormerTiny):
    """One embedding for all of 3-6 layers, each with 2-4 heads of 32 and an MLP ratio of 1/2/3; 1,793,340 networks."""

    name: ClassVar[str] = "autoformer_32"
    embeds: ClassVar[tuple[int, ...]] = (64, 96, 128)
    heads: ClassVar[tuple[int, ...]] = (2, 3, 4)
    mlp_ratios: ClassVar[tuple[float, ...]] = (1.0, 2.0, 3.0)
    head_dim: ClassVar[int] = 32
    reach: ClassVar[int] = 7

    n_classes: int = Field(default=10, ge=2, description="classes of the data")
    patch: int = Field(default=4, ge=1, description="side of a patch")
    resolution: int = Field(default=32, ge=1, validate_default=True, description="image size, a multiple of the patch")
    depths: tuple[PositiveInt, ...] = Field(
        default=(3, 4, 5, 6), min_length=1, description="numbers of layers to choose from"
    )
