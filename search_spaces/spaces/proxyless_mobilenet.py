"""ProxylessNAS's MobileNetV2 space (Cai et al., ICLR 2019): kernel, expansion or skip for each of 21 blocks."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from search_spaces.block import Block
from search_spaces.blocks.mobile import ConvNorm, InvertedResidual, PooledClassifier, strided
from search_spaces.space import Choice, SearchSpace

_STAGES = ((24, 2, 4), (40, 2, 4), (80, 2, 4), (96, 1, 4), (192, 2, 4), (320, 1, 1))  # width, stride, blocks
_CANDIDATES = ("k3_e3", "k5_e3", "k7_e3", "k3_e6", "k5_e6", "k7_e6")
_SKIP = "skip"


@dataclass(frozen=True, config={"extra": "forbid"})
class ProxylessMobileNet(SearchSpace):
    """Six stages; the first block of each takes one of six candidates, every other may also be skipped.

    6^6 x 7^15 = 2.2e17 paths. Shared kernels and widths stand for the candidates, where the paper trains each apart.
    """

    name: ClassVar[str] = "proxyless_mobilenet"

    n_classes: int = Field(default=1000, ge=2, description="classes of the data")
    in_channels: int = Field(default=3, ge=1, description="channels of the images")
    resolution: int = Field(default=224, ge=32, description="image size")

    @property
    def choices(self) -> tuple[Choice, ...]:
        """One choice a block."""
        return tuple(
            Choice(f"block_{stage}_{number}", _CANDIDATES if number == 1 else (_SKIP, *_CANDIDATES))
            for stage, (_, _, depth) in enumerate(_STAGES, 1)
            for number in range(1, depth + 1)
        )

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Stem, one fixed block, six stages, 1x1 expansion to 1280, classifier."""
        stem = ConvNorm(self.resolution, self.in_channels, 32, 3, 2, "relu6")
        yield "stem", stem
        size, channels = stem.output.shape[1], 16
        yield "first", InvertedResidual(size, 32, channels, 3, 1, "relu6", 32, False)
        for stage, (width, first_stride, depth) in enumerate(_STAGES, 1):
            for number in range(1, depth + 1):
                candidate = options[f"block_{stage}_{number}"]
                if candidate == _SKIP:
                    continue
                kernel, expand = (int(part[1:]) for part in candidate.split("_"))
                stride = first_stride if number == 1 else 1
                yield (
                    f"stage{stage}_block{number}",
                    InvertedResidual(size, channels, width, kernel, stride, "relu6", channels * expand, False),
                )
                channels, size = width, strided(size, stride)
        yield "expand", ConvNorm(size, channels, 1280, 1, 1, "relu6")
        yield "classifier", PooledClassifier(size, 1280, None, self.n_classes, 0.0)
