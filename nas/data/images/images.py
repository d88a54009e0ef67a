"""Images ready to be asked for in batches."""

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


class Pixels(Protocol):
    """Square uint8 images by position: a tensor (N, C, S, S), or anything that is indexed like one."""

    def __getitem__(self, positions: Tensor, /) -> Tensor:
        """Return the images at int64 positions (B,) as a uint8 tensor (B, C, S, S)."""


@dataclass(frozen=True, eq=False)
class Images:
    """One part of a data set.

    Attributes:
        labels: int64 tensor (N,), indices into the data set's classes.
        pixels: the images, in memory or decoded when asked for.
    """

    labels: Tensor = field(repr=False)
    pixels: Pixels = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return the images at int64 indices (B,) as a uint8 tensor (B, C, S, S)."""
        return self.pixels[indices]
