"""TinyNets (Han et al., NeurIPS 2020): EfficientNet-B0 made smaller in resolution, width and depth at once."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from search_spaces.blocks.mobile import divisible
from search_spaces.spaces.efficientnet import EfficientNet


@dataclass(frozen=True, config={"extra": "forbid"})
class TinyNet(EfficientNet):
    """EfficientNet-B0 in ten resolutions, six widths and five depths; 300 networks.

    Other than when it is made larger, its stem keeps its width and its head at least that, and the number of blocks of
    a stage is rounded to the nearest.
    """

    name: ClassVar[str] = "tinynet"
    members: ClassVar[Mapping[str, tuple[int, float, float]]] = {
        "a": (192, 1.0, 1.2),
        "b": (188, 0.75, 1.1),
        "c": (184, 0.54, 0.85),
        "d": (152, 0.54, 0.695),
        "e": (106, 0.51, 0.6),
    }

    resolutions: tuple[PositiveInt, ...] = Field(
        default=(96, 106, 128, 152, 168, 184, 188, 192, 208, 224),
        min_length=1,
        description="image sizes to choose from",
    )
    widths: tuple[PositiveFloat, ...] = Field(
        default=(0.35, 0.51, 0.54, 0.75, 0.9, 1.0), min_length=1, description="multipliers of the channels"
    )
    depths: tuple[PositiveFloat, ...] = Field(
        default=(0.6, 0.695, 0.85, 1.1, 1.2), min_length=1, description="multipliers of a stage's blocks"
    )

    def _stem_channels(self, width: float) -> int:
        return 32

    def _head_channels(self, width: float) -> int:
        return max(1280, divisible(1280 * width))

    def _deepened(self, n_blocks: int, depth: float) -> int:
        return max(1, round(n_blocks * depth))
