"""EfficientNet's compound scaling (Tan and Le, ICML 2019): one network in many resolutions, widths and depths."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from search_spaces.block import Block
from search_spaces.blocks.mobile import ConvNorm, MBConv, PooledClassifier, divisible, strided
from search_spaces.errors import unknown
from search_spaces.space import Architecture, Choice, SearchSpace

_STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 2, 3),
    (6, 5, 112, 1, 3),
    (6, 5, 192, 2, 4),
    (6, 3, 320, 1, 1),
)
"""Expansion, kernel, width, stride of the first block, blocks: EfficientNet-B0's."""


@dataclass(frozen=True, config={"extra": "forbid"})
class EfficientNet(SearchSpace):
    """EfficientNet-B0 in eight resolutions, seven widths and eight depths, of which two are alike; 392 networks.

    A narrower network uses the leading channels of a wider one, a shallower one the first blocks of each stage.
    `stem="small"` halves the image twice less, at the stem and at the second stage, for images of 32x32 pixels or so.
    """

    name: ClassVar[str] = "efficientnet"
    members: ClassVar[Mapping[str, tuple[int, float, float]]] = {
        "b0": (224, 1.0, 1.0),
        "b1": (240, 1.0, 1.1),
        "b2": (260, 1.1, 1.2),
        "b3": (300, 1.2, 1.4),
        "b4": (380, 1.4, 1.8),
        "b5": (456, 1.6, 2.2),
        "b6": (528, 1.8, 2.6),
        "b7": (600, 2.0, 3.1),
    }
    """Resolution, width and depth of the published networks."""

    n_classes: int = Field(default=1000, ge=2, description="classes of the data")
    in_channels: int = Field(default=3, ge=1, description="channels of the images")
    stem: Literal["small", "imagenet"] = Field(default="imagenet", description="small: images of 32x32 pixels or so")
    resolutions: tuple[PositiveInt, ...] = Field(
        default=(224, 240, 260, 300, 380, 456, 528, 600), min_length=1, description="image sizes to choose from"
    )
    widths: tuple[PositiveFloat, ...] = Field(
        default=(1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.0), min_length=1, description="multipliers of the channels"
    )
    depths: tuple[PositiveFloat, ...] = Field(
        default=(1.0, 1.1, 1.2, 1.4, 1.8, 2.2, 2.6, 3.1), min_length=1, description="multipliers of a stage's blocks"
    )

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The three scales."""
        return (
            Choice("resolution", tuple(sorted(self.resolutions))),
            Choice("width", tuple(sorted(self.widths))),
            Choice("depth", tuple(sorted(self.depths))),
        )

    def published(self, member: str) -> Architecture:
        """Return a published network, such as "b3".

        Raises:
            InputError: there is no such network, or its scales are none of the options of this space.
        """
        if member not in self.members:
            raise unknown(f"network of {self.name}", member, self.members)
        scales = dict(zip(("resolution", "width", "depth"), self.members[member], strict=True))
        return self.decode(self.encode([scales]))[0]

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Stem, seven stages, 1x1 expansion, classifier."""
        width = options["width"]
        is_small = self.stem == "small"
        stem = ConvNorm(
            options["resolution"], self.in_channels, self._stem_channels(width), 3, 1 if is_small else 2, "swish"
        )
        yield "stem", stem
        channels, size, _ = stem.output.shape
        for stage, (expand, kernel, stage_width, first_stride, n_blocks) in enumerate(_STAGES, 1):
            out_channels = divisible(stage_width * width)
            for number in range(1, self._deepened(n_blocks, options["depth"]) + 1):
                stride = first_stride if number == 1 and not (is_small and stage == 2) else 1
                yield (
                    f"stage{stage}_block{number}",
                    MBConv(size, channels, out_channels, kernel, stride, "swish", channels * expand),
                )
                channels, size = out_channels, strided(size, stride)
        head = self._head_channels(width)
        yield "expand", ConvNorm(size, channels, head, 1, 1, "swish")
        yield "classifier", PooledClassifier(size, head, None, self.n_classes, 0.2)

    def _stem_channels(self, width: float) -> int:
        return divisible(32 * width)

    def _head_channels(self, width: float) -> int:
        return divisible(1280 * width)

    def _deepened(self, n_blocks: int, depth: float) -> int:
        """Return how many blocks a stage has."""
        return math.ceil(n_blocks * depth)
