"""Once-for-All's MobileNetV3 space (Cai et al., ICLR 2020): elastic resolution, depth, width and kernel size."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from search_spaces.block import Block
from search_spaces.blocks.mobile import Activation, ConvNorm, InvertedResidual, PooledClassifier, divisible, strided
from search_spaces.space import Choice, SearchSpace

Stage = tuple[int, int, Activation, bool]
"""Width, stride of the first block, activation, squeeze-excitation."""


@dataclass(frozen=True, config={"extra": "forbid"})
class OFAMobileNetV3(SearchSpace):
    """Five stages of 2-4 inverted residuals, kernels 3/5/7, expansion 3/4/6; 7371^5 = 2.18e19 networks a resolution."""

    name: ClassVar[str] = "ofa_mobilenet_v3"
    stages: ClassVar[tuple[Stage, ...]] = (
        (24, 2, "relu", False),
        (40, 2, "relu", True),
        (80, 2, "hard_swish", False),
        (112, 1, "hard_swish", True),
        (160, 2, "hard_swish", True),
    )
    depths: ClassVar[tuple[int, ...]] = (2, 3, 4)
    kernels: ClassVar[tuple[int, ...]] = (3, 5, 7)
    expands: ClassVar[tuple[int, ...]] = (3, 4, 6)
    head_widths: ClassVar[tuple[int, int]] = (960, 1280)

    n_classes: int = Field(default=1000, ge=2, description="classes of the data")
    in_channels: int = Field(default=3, ge=1, description="channels of the images")
    width: float = Field(default=1.0, gt=0, le=4, description="width multiplier of every stage")
    resolutions: tuple[PositiveInt, ...] = Field(
        default=tuple(range(128, 225, 4)), min_length=1, description="image sizes to choose from"
    )

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Resolution; then for each stage its depth, and kernel and expansion of each of its blocks."""
        choices = [Choice("resolution", tuple(sorted(self.resolutions)))]
        for stage in range(1, len(self.stages) + 1):
            choices.append(Choice(f"depth_{stage}", self.depths))
            for block in range(1, max(self.depths) + 1):
                choices.append(Choice(f"kernel_{stage}_{block}", self.kernels))
                choices.append(Choice(f"expand_{stage}_{block}", self.expands))
        return tuple(choices)

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Stem, one fixed block, the elastic stages, 1x1 expansion, classifier."""
        channels = divisible(16 * self.width)
        stem = ConvNorm(options["resolution"], self.in_channels, channels, 3, 2, "hard_swish")
        yield "stem", stem
        size = stem.output.shape[1]
        yield "first", InvertedResidual(size, channels, channels, 3, 1, "relu", channels, False)
        for stage, (width, first_stride, activation, squeeze_excite) in enumerate(self.stages, 1):
            out_channels = divisible(width * self.width)
            for number in range(1, options[f"depth_{stage}"] + 1):
                stride = first_stride if number == 1 else 1
                middle = divisible(channels * options[f"expand_{stage}_{number}"])
                kernel = options[f"kernel_{stage}_{number}"]
                yield (
                    f"stage{stage}_block{number}",
                    InvertedResidual(size, channels, out_channels, kernel, stride, activation, middle, squeeze_excite),
                )
                channels, size = out_channels, strided(size, stride)
        expanded, features = (divisible(width * self.width) for width in self.head_widths)
        yield "expand", ConvNorm(size, channels, expanded, 1, 1, "hard_swish")
        yield "classifier", PooledClassifier(size, expanded, features, self.n_classes, 0.1)
