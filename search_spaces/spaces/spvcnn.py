"""SPVCNN (Tang et al., ECCV 2020) scaled uniformly: what a search over single widths is compared with."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from search_spaces.space import Choice
from search_spaces.sparse.network import SparsePointVoxelSpace, Stage, Widths

_STEM, _DOWN, _UP = 32, (32, 64, 128, 256), (256, 128, 96, 96)

Scale = Annotated[float, Field(ge=1 / _STEM, le=4)]
"""At the least, one channel is left of the stem."""


@dataclass(frozen=True, config={"extra": "forbid"})
class SPVCNN(SparsePointVoxelSpace):
    """One choice: the width of every layer. 0.5 and 1 are the published networks."""

    name: ClassVar[str] = "spvcnn"

    scales: tuple[Scale, ...] = Field(
        default=tuple(n / 16 for n in range(4, 17)), min_length=1, description="shares of all channels"
    )

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The scale."""
        return (Choice("scale", tuple(sorted(self.scales))),)

    def widths(self, options: Mapping[str, Any]) -> Widths:
        stem, *stages = (int(options["scale"] * channels) for channels in (_STEM, *_DOWN, *_UP))
        before = [stem, *stages[:3]]  # a transition down keeps its channels, one up changes them
        down = [Stage(b, (c, c), c, projected=b != c) for b, c in zip(before, stages[:4], strict=True)]
        return Widths(stem, tuple(down), tuple(Stage(c, (c, c), c) for c in stages[4:]))
