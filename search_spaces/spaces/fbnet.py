"""FBNet's space (Wu et al., CVPR 2019): one of nine candidate blocks for each of 22 layers."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from search_spaces.block import Block
from search_spaces.blocks.mobile import ConvNorm, GroupedResidual, PooledClassifier, strided
from search_spaces.space import Choice, SearchSpace

_STAGES = ((16, 1, 1), (24, 1, 4), (32, 2, 4), (64, 2, 4), (112, 1, 4), (184, 2, 4), (352, 1, 1))
"""Width, stride of the first layer on small images, layers."""

_SKIP = "skip"
_CANDIDATES = (_SKIP, "k3_e1_g2", "k5_e1_g2", "k3_e1", "k5_e1", "k3_e3", "k5_e3", "k3_e6", "k5_e6")
"""Kernel, expansion and groups."""


@dataclass(frozen=True, config={"extra": "forbid"})
class FBNet(SearchSpace):
    """Seven stages, 22 layers, nine candidates a layer; 9^22 = 9.8e20 networks.

    By default in the form for images of 32x32 pixels whose latencies HW-NAS-Bench publishes (Li et al., ICLR 2021);
    `stem="imagenet"` halves the image twice more, at the stem and at the second stage, as the paper does for 224x224.
    Each kernel size has weights of its own, and so has each grouped candidate; a smaller expansion is a slice of a
    larger one. A skipped layer is a 1x1 convolution where the shape changes, and nothing elsewhere.
    """

    name: ClassVar[str] = "fbnet"

    n_classes: int = Field(default=100, ge=2, description="classes of the data")
    in_channels: int = Field(default=3, ge=1, description="channels of the images")
    resolution: int = Field(default=32, ge=8, description="image size")
    stem: Literal["small", "imagenet"] = Field(default="small", description="small: images of 32x32 pixels or so")
    head: int = Field(default=1504, ge=1, description="channels before the classifier; 1984 in FBNet-B and FBNet-C")

    @property
    def choices(self) -> tuple[Choice, ...]:
        """One choice a layer."""
        return tuple(Choice(f"layer_{number}", _CANDIDATES) for number, *_ in self._layers())

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Stem, the layers, 1x1 convolution, classifier; kernel and groups are part of a slot's name."""
        stem = ConvNorm(self.resolution, self.in_channels, 16, 3, 2 if self.stem == "imagenet" else 1, "relu")
        yield "stem", stem
        channels, size, _ = stem.output.shape
        for number, width, stride in self._layers():
            candidate = options[f"layer_{number}"]
            if candidate != _SKIP:
                kernel, expand, *groups = (int(part[1:]) for part in candidate.split("_"))
                n_groups = groups[0] if groups else 1
                slot = f"layer{number}_k{kernel}" + ("_grouped" if groups else "")
                middle = channels * expand
                yield slot, GroupedResidual(size, channels, width, kernel, stride, "relu", middle, n_groups)
            elif (width, stride) != (channels, 1):
                yield f"layer{number}_skip", ConvNorm(size, channels, width, 1, stride, "relu")
            channels, size = width, strided(size, stride)
        yield "expand", ConvNorm(size, channels, self.head, 1, 1, "relu")
        yield "classifier", PooledClassifier(size, self.head, None, self.n_classes, 0.0)

    def _layers(self) -> Iterator[tuple[int, int, int]]:
        """Yield number, width and stride of each layer."""
        number = 0
        for stage, (width, first_stride, depth) in enumerate(_STAGES, 1):
            for layer in range(depth):
                number += 1
                halves_more = self.stem == "imagenet" and stage == 2
                yield number, width, (2 if halves_more else first_stride) if layer == 0 else 1
