"""Blocks of vision transformers: patch embedding, the two halves of an encoder layer, and the classifier.

Tokens are (batch, tokens, embedding): the class token, then the patches row by row.
"""

import dataclasses
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.block import Block, TensorSpec

Pooling = Literal["mean", "class"]


def _linear(in_features: int, out_features: int) -> nn.Linear:
    linear = nn.Linear(in_features, out_features)
    nn.init.xavier_uniform_(linear.weight)  # for narrow networks the usual deviation of 0.02 is too small
    nn.init.zeros_(linear.bias)
    return linear


def _embedding(*shape: int, std: float = 0.02) -> nn.Parameter:
    return nn.Parameter(nn.init.normal_(torch.empty(shape), std=std))


@dataclasses.dataclass(frozen=True)
class PatchEmbedding(Block):
    """A projection of each patch, a class token, absolute positions (Dosovitskiy et al., ICLR 2021)."""

    size: int
    in_channels: int
    patch: int
    embed: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec((self.in_channels, self.size, self.size)),)

    @property
    def output(self) -> TensorSpec:
        return TensorSpec(((self.size // self.patch) ** 2 + 1, self.embed))

    def build(self) -> nn.Module:
        return _PatchEmbedding(self)

    def output_dim(self, owner: nn.Module) -> int:
        return -1 if isinstance(owner, _PatchEmbedding) else 0


class _PatchEmbedding(nn.Module):
    def __init__(self, block: PatchEmbedding) -> None:
        super().__init__()
        self.project = nn.Conv2d(block.in_channels, block.embed, block.patch, block.patch)
        self.class_token = _embedding(block.embed)
        # as large as the projection of a standardised image: smaller ones take many epochs to be heard
        self.positions = _embedding(*block.output.shape, std=0.5)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.project(x).flatten(2).transpose(1, 2)
        class_token = self.class_token.expand(x.shape[0], 1, -1)
        return torch.cat((class_token, patches), 1) + self.positions


@dataclasses.dataclass(frozen=True)
class _TokenBlock(Block):
    """A block that reads the tokens of a square `grid` of patches, and of the class."""

    grid: int
    embed: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec((self.grid**2 + 1, self.embed)),)


@dataclasses.dataclass(frozen=True)
class _EncoderBlock(_TokenBlock):
    """Half an encoder layer: what it computes from the normalised tokens is added to them."""

    @property
    def output(self) -> TensorSpec:
        return self.inputs[0]

    def silence(self, module: nn.Module) -> None:
        assert isinstance(module, _Attention | _MLP)
        nn.init.zeros_(module.project.weight)  # its bias is zero as it is


@dataclasses.dataclass(frozen=True)
class Attention(_EncoderBlock):
    """Self-attention (Vaswani et al., NeurIPS 2017), whose width `heads * head_dim` is free of the embedding's.

    `reach` is the largest distance in rows or columns that relative positions tell apart, None for no such positions.
    """

    heads: int
    head_dim: int
    reach: int | None

    def build(self) -> nn.Module:
        return _Attention(self)

    @property
    def growing(self) -> tuple[str, ...]:
        return ("heads",)


class _Attention(nn.Module):
    """One layer makes query, key and value of the first head, then those of the second, and so on.

    So fewer heads are a leading slice of its weight and of its bias.
    """

    def __init__(self, block: Attention) -> None:
        super().__init__()
        width = block.heads * block.head_dim
        self.head_dim = block.head_dim
        self.norm = nn.LayerNorm(block.embed)
        self.qkv = _linear(block.embed, 3 * width)
        self.project = _linear(width, block.embed)
        self.attend = _attend if block.reach is None else RelativeAttention(block.grid, block.head_dim, block.reach)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm(x)).unflatten(2, (-1, 3, self.head_dim))  # (batch, tokens, heads, 3, head_dim)
        query, key, value = qkv.transpose(1, 2).unbind(3)
        y: Tensor = self.project(self.attend(query, key, value).transpose(1, 2).flatten(2))
        return x + y


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value)


class RelativeAttention(nn.Module):
    """Attention with relative positions on keys and values (Shaw et al., NAACL 2018), in rows and in columns.

    To the key and to the value of token j, as token i sees them, is added an embedding of their distance in rows and
    one of that in columns. Distances beyond `reach` count as `reach`; the class token has a distance of its own to all.

    What is added depends on the row and the column of j alone, not on j. So a query needs one product for each row and
    column, and a result needs the attention that each row and column gets in all. Plain attention gives both, exactly,
    if keys and values go on with indicators of their row and column: no table over pairs of tokens is ever made.
    """

    distances: Tensor
    indicators: Tensor

    def __init__(self, grid: int, head_dim: int, reach: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.n_distances = 2 * reach + 2  # that of the class token, then -reach to reach
        self.keys = _embedding(2, self.n_distances, head_dim)  # by row, by column
        self.values = _embedding(2, self.n_distances, head_dim)
        lines = torch.arange(grid + 1)  # rows or columns, behind a line of the class token's own
        rows, columns = lines[1:].repeat_interleave(grid), lines[1:].repeat(grid)
        tokens = F.pad(torch.stack((rows, columns)), (1, 0))[..., None]  # (2, tokens, 1)
        distances = (lines - tokens).clamp(-reach, reach) + reach + 1
        distances = distances.where((lines > 0) & (tokens > 0), 0)
        distances = distances + torch.tensor([0, self.n_distances])[:, None, None]  # those in columns come second
        self.register_buffer("distances", distances.transpose(0, 1).flatten(1), persistent=False)
        indicators = (lines == tokens).transpose(0, 1).flatten(1).float()
        self.register_buffer("indicators", indicators, persistent=False)  # both (tokens, rows and columns)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return the attention of queries to keys and values, all (batch, heads, tokens, head_dim)."""
        batch = query.shape[:2]
        distances = self.distances.expand(*batch, -1, -1)
        indicators = self.indicators.expand(*batch, -1, -1)
        products = query @ self.keys.flatten(0, 1).T  # (batch, heads, tokens, distances)
        attended = F.scaled_dot_product_attention(
            torch.cat((query, products.gather(3, distances)), 3),
            torch.cat((key, indicators), 3),
            torch.cat((value, indicators), 3),
            scale=self.head_dim**-0.5,
        )
        values, weights = attended[..., : self.head_dim], attended[..., self.head_dim :]
        weights = torch.zeros_like(products).scatter_add(3, distances, weights)
        return values + weights @ self.values.flatten(0, 1)


@dataclasses.dataclass(frozen=True)
class MLP(_EncoderBlock):
    """Two layers with a GELU between them, applied to each token."""

    hidden: int

    def build(self) -> nn.Module:
        return _MLP(self)

    @property
    def growing(self) -> tuple[str, ...]:
        return ("hidden",)


class _MLP(nn.Module):
    def __init__(self, block: MLP) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(block.embed)
        self.expand = _linear(block.embed, block.hidden)
        self.project = _linear(block.hidden, block.embed)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(F.gelu(self.expand(self.norm(x))))
        return x + y


@dataclasses.dataclass(frozen=True)
class TokenClassifier(_TokenBlock):
    """Normalisation, pooling, linear classifier; what is pooled is the class token or the mean of the patches."""

    pooling: Pooling
    n_classes: int

    @property
    def output(self) -> TensorSpec:
        return TensorSpec((self.n_classes,))

    def build(self) -> nn.Module:
        return _TokenClassifier(self)


class _TokenClassifier(nn.Module):
    def __init__(self, block: TokenClassifier) -> None:
        super().__init__()
        self.pooling = block.pooling
        self.norm = nn.LayerNorm(block.embed)
        self.classifier = _linear(block.embed, block.n_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.norm(x[:, 0]) if self.pooling == "class" else self.norm(x[:, 1:]).mean(1)
        logits: Tensor = self.classifier(features)
        return logits
