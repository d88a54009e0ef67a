"""AutoFormer's vision transformers (Chen et al., ICCV 2021), small."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from search_spaces.spaces.autoformer_tiny import AutoFormerTiny


@dataclass(frozen=True, config={"extra": "forbid"})
class AutoFormerSmall(AutoFormerTiny):
    """One embedding for all of 12-14 layers, each with 5-7 heads and an MLP ratio of 3/3.5/4; 7.7e13 networks."""

    name: ClassVar[str] = "autoformer_small"
    embeds: ClassVar[tuple[int, ...]] = (320, 384, 448)
    heads: ClassVar[tuple[int, ...]] = (5, 6, 7)
    mlp_ratios: ClassVar[tuple[float, ...]] = (3.0, 3.5, 4.0)
