"""AutoFormer's vision transformers (Chen et al., ICCV 2021), tiny: elastic embedding, depth, heads and MLPs."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field, PositiveInt, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass

from search_spaces.block import Block
from search_spaces.blocks.transformer import MLP, Attention, PatchEmbedding, Pooling, TokenClassifier
from search_spaces.space import Choice, SearchSpace


@dataclass(frozen=True, config={"extra": "forbid"})
class AutoFormerTiny(SearchSpace):
    """One embedding for all of 12-14 layers, each with 3/4 heads and an MLP ratio of 3.5/4; 1.06e9 networks."""

    name: ClassVar[str] = "autoformer_tiny"
    embeds: ClassVar[tuple[int, ...]] = (192, 216, 240)
    heads: ClassVar[tuple[int, ...]] = (3, 4)
    mlp_ratios: ClassVar[tuple[float, ...]] = (3.5, 4.0)
    head_dim: ClassVar[int] = 64
    reach: ClassVar[int] = 14
    """The largest distance in patches that relative positions tell apart."""

    n_classes: int = Field(default=1000, ge=2, description="classes of the data")
    in_channels: int = Field(default=3, ge=1, description="channels of the images")
    patch: int = Field(default=16, ge=1, description="side of a patch")
    resolution: int = Field(default=224, ge=1, validate_default=True, description="image size, a multiple of the patch")
    depths: tuple[PositiveInt, ...] = Field(
        default=(12, 13, 14), min_length=1, description="numbers of layers to choose from"
    )
    # the published networks were trained with --relative_position and --gp
    relative_position: bool = Field(default=True, description="relative positions on keys and values")
    pooling: Pooling = Field(default="mean", description="what is classified: mean of the patches, or class token")

    @field_validator("resolution")
    @classmethod
    def _whole_patches(cls, resolution: int, info: ValidationInfo) -> int:
        patch = info.data.get("patch", 1)
        if resolution % patch:
            raise ValueError(f"expected a multiple of the patch, such as {(resolution // patch + 1) * patch}")
        return resolution

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Embedding, depth; then heads and MLP ratio of each layer."""
        choices = [Choice("embed", self.embeds), Choice("depth", tuple(sorted(self.depths)))]
        for layer in range(1, max(self.depths) + 1):
            choices.append(Choice(f"heads_{layer}", self.heads))
            choices.append(Choice(f"mlp_{layer}", self.mlp_ratios))
        return tuple(choices)

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Patches, the layers in halves, classifier."""
        embed, grid = options["embed"], self.resolution // self.patch
        reach = self.reach if self.relative_position else None
        yield "patches", PatchEmbedding(self.resolution, self.in_channels, self.patch, embed)
        for layer in range(1, options["depth"] + 1):
            yield f"layer{layer}_attention", Attention(grid, embed, options[f"heads_{layer}"], self.head_dim, reach)
            yield f"layer{layer}_mlp", MLP(grid, embed, int(embed * options[f"mlp_{layer}"]))
        yield "classifier", TokenClassifier(grid, embed, self.pooling, self.n_classes)
