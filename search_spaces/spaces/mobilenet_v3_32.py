"""A MobileNetV3 space for images of 32x32 pixels, small enough to train in minutes on two CPU cores."""

from typing import ClassVar

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from search_spaces.spaces.ofa_mobilenet_v3 import OFAMobileNetV3, Stage


@dataclass(frozen=True, config={"extra": "forbid"})
class MobileNetV3For32(OFAMobileNetV3):
    """Four stages of 1-3 inverted residuals, kernels 3/5, expansion 2/3/4; 258^4 = 4.4e9 networks a resolution."""

    name: ClassVar[str] = "mobilenet_v3_32"
    stages: ClassVar[tuple[Stage, ...]] = (
        (24, 1, "relu", False),
        (40, 2, "relu", True),
        (64, 2, "hard_swish", False),
        (96, 1, "hard_swish", True),
    )
    depths: ClassVar[tuple[int, ...]] = (1, 2, 3)
    kernels: ClassVar[tuple[int, ...]] = (3, 5)
    expands: ClassVar[tuple[int, ...]] = (2, 3, 4)
    head_widths: ClassVar[tuple[int, int]] = (288, 384)

    n_classes: int = Field(default=10, ge=2, description="classes of the data")
    resolutions: tuple[PositiveInt, ...] = Field(
        default=(24, 32), min_length=1, description="image sizes to choose from"
    )
