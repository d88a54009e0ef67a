"""AutoFormer's vision transformers (Chen et al., ICCV 2021), base."""

from typing import ClassVar

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from search_spaces.spaces.autoformer_tiny import AutoFormerTiny


@dataclass(frozen=True, config={"extra": "forbid"})
class AutoFormerBase(AutoFormerTiny):
    """One embedding for all of 14-16 layers, each with 9/10 heads and an MLP ratio of 3/3.5/4; 1.01e13 networks."""

    name: ClassVar[str] = "autoformer_base"
    embeds: ClassVar[tuple[int, ...]] = (528, 576, 624)
    heads: ClassVar[tuple[int, ...]] = (9, 10)
    mlp_ratios: ClassVar[tuple[float, ...]] = (3.0, 3.5, 4.0)

    depths: tuple[PositiveInt, ...] = Field(
        default=(14, 15, 16), min_length=1, description="numbers of layers to choose from"
    )
