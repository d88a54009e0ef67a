"""RegNets (Radosavovic et al., CVPR 2020): widths that grow linearly with depth, quantised into stages."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from search_spaces.block import Block
from search_spaces.blocks.mobile import ConvNorm, PooledClassifier
from search_spaces.blocks.regnet import GroupedBottleneck
from search_spaces.errors import unknown
from search_spaces.space import Architecture, Choice, SearchSpace

_CHOICES = ("depth", "w_0", "w_a", "w_m", "group_width")

_QUANTUM = 8  # of a stage's width

_X = {
    "200mf": (13, 24, 36.44, 2.49, 8),
    "400mf": (22, 24, 24.48, 2.54, 16),
    "600mf": (16, 48, 36.97, 2.24, 24),
    "800mf": (16, 56, 35.73, 2.28, 16),
    "1.6gf": (18, 80, 34.01, 2.25, 24),
    "3.2gf": (25, 88, 26.31, 2.25, 48),
}
_Y = {
    "200mf": (13, 24, 36.44, 2.49, 8),
    "400mf": (16, 48, 27.89, 2.09, 8),
    "600mf": (15, 48, 32.54, 2.32, 16),
    "800mf": (14, 56, 38.84, 2.4, 16),
    "1.6gf": (27, 48, 20.71, 2.65, 24),
    "3.2gf": (21, 80, 42.63, 2.66, 24),
}
"""The published networks, by what they cost: the five choices."""


@dataclass(frozen=True, config={"extra": "forbid"})
class RegNet(SearchSpace):
    """Depth, initial width, slope, width multiplier and group width, as of the networks of 200 to 800 million MACs.

    Block j is w_0 + w_a j wide, rounded to a power of w_m times w_0 and then to a multiple of 8; blocks of one width
    make a stage, whose width is rounded to a multiple of the group width. The paper samples four stages; here there
    are as many as follow. A narrower stage uses the leading channels of a wider one, a shorter one its first blocks;
    each group width has weights of its own, as a group that reads other channels is no part of another.
    """

    name: ClassVar[str] = "regnet"

    n_classes: int = Field(default=1000, ge=2, description="classes of the data")
    in_channels: int = Field(default=3, ge=1, description="channels of the images")
    resolution: int = Field(default=224, ge=8, description="image size")
    stem: Literal["small", "imagenet"] = Field(
        default="imagenet", description="small: halves no image, as of 32x32 pixels"
    )
    stem_channels: PositiveInt = Field(default=32, description="width of the stem")
    squeeze_excite: bool = Field(default=False, description="RegNetY, which has squeeze-excitation, rather than X")
    total_depths: tuple[PositiveInt, ...] = Field(
        default=(13, 14, 15, 16, 22), min_length=1, description="blocks of all stages"
    )
    w_0: tuple[Annotated[int, Field(gt=0, multiple_of=_QUANTUM)], ...] = Field(
        default=(24, 48, 56), min_length=1, description="width of the first block"
    )
    w_a: tuple[PositiveFloat, ...] = Field(
        default=(24.48, 27.89, 32.54, 35.73, 36.44, 36.97, 38.84),
        min_length=1,
        description="slope: how much wider each block is than the one before it",
    )
    w_m: tuple[Annotated[float, Field(gt=1)], ...] = Field(
        default=(2.09, 2.24, 2.28, 2.32, 2.4, 2.49, 2.54),
        min_length=1,
        description="multiplier: how much wider each stage is than the one before it",
    )
    group_widths: tuple[PositiveInt, ...] = Field(
        default=(8, 16, 24), min_length=1, description="channels of a group of the 3x3 convolutions"
    )

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The five numbers that say how wide every block is."""
        options = (self.total_depths, self.w_0, self.w_a, self.w_m, self.group_widths)
        return tuple(Choice(name, tuple(sorted(values))) for name, values in zip(_CHOICES, options, strict=True))

    def published(self, member: str) -> Architecture:
        """Return a published RegNetX, or with `squeeze_excite` RegNetY, such as "400mf".

        Raises:
            InputError: there is no such network, or its numbers are none of the options of this space.
        """
        members = _Y if self.squeeze_excite else _X
        if member not in members:
            raise unknown(f"network of {self.name}", member, members)
        return self.decode(self.encode([dict(zip(_CHOICES, members[member], strict=True))]))[0]

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Stem, stages, classifier; the group width is part of a slot's name."""
        stem_stride = 1 if self.stem == "small" else 2
        stem = ConvNorm(self.resolution, self.in_channels, self.stem_channels, 3, stem_stride, "relu")
        yield "stem", stem
        channels, size, _ = stem.output.shape
        for stage, (width, group_width, n_blocks) in enumerate(stages(**options), 1):
            for number in range(1, n_blocks + 1):
                stride = 2 if number == 1 else 1
                block = GroupedBottleneck(size, channels, width, stride, group_width, self.squeeze_excite)
                yield f"stage{stage}_block{number}_g{group_width}", block
                channels, size, _ = block.output.shape
        yield "classifier", PooledClassifier(size, channels, None, self.n_classes, 0.0)


def stages(depth: int, w_0: int, w_a: float, w_m: float, group_width: int) -> Iterator[tuple[int, int, int]]:
    """Yield width, group width and number of blocks of each stage, which the five choices decide.

    A group is at most as wide as the stage. Halves are rounded to the even number, as the published code does.
    """
    linear = w_0 + w_a * np.arange(depth)
    quantised = w_0 * w_m ** np.round(np.log(linear / w_0) / np.log(w_m))
    widths = Counter((np.round(quantised / _QUANTUM) * _QUANTUM).astype(int).tolist())
    for width, n_blocks in widths.items():
        group = min(group_width, width)
        yield round(width / group) * group, group, n_blocks
