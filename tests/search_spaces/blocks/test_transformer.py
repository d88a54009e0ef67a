"""The blocks of vision transformers compute what was published, and smaller ones are parts of larger ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from search_spaces.block import Block
from search_spaces.blocks.transformer import MLP, Attention, PatchEmbedding, RelativeAttention, TokenClassifier


def built(block: Block, seed: int = 0) -> nn.Module:
    """Return the block's module with all parameters drawn anew, so that none is zero."""
    torch.manual_seed(seed)
    module = block.build().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.requires_grad_(False)


def part(large: nn.Module, block: Block) -> nn.Module:
    """Return the block's module with the leading slices of a larger one's tensors."""
    module = block.build().eval()
    held = dict(large.named_parameters())
    for path, parameter in module.named_parameters():
        owner = module.get_submodule(path.rpartition(".")[0])
        parameter.data = block.narrow(held[path], path, parameter, owner).clone()
    return module.requires_grad_(False)


def tokens(grid: int, embed: int, batch_size: int = 2) -> Tensor:
    return torch.randn(batch_size, grid**2 + 1, embed, generator=torch.Generator().manual_seed(1))


def pairwise(table: Tensor, grid: int, reach: int) -> Tensor:
    """Return the embedding of every pair of tokens (tokens, tokens, head_dim), one by one as published."""
    n = grid**2 + 1
    embeddings = torch.empty(n, n, table.shape[-1])
    for i in range(n):
        for j in range(n):
            row = column = 0
            if i and j:
                row = max(-reach, min(reach, (j - 1) // grid - (i - 1) // grid)) + reach + 1
                column = max(-reach, min(reach, (j - 1) % grid - (i - 1) % grid)) + reach + 1
            embeddings[i, j] = table[0, row] + table[1, column]
    return embeddings


@settings(max_examples=25)
@given(grid=st.integers(1, 5), reach=st.integers(1, 6), heads=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_relative_attention_is_that_over_all_pairs(grid: int, reach: int, heads: int, seed: int) -> None:
    head_dim = 4
    torch.manual_seed(seed)
    attention = RelativeAttention(grid, head_dim, reach)
    nn.init.normal_(attention.keys)
    nn.init.normal_(attention.values)
    query, key, value = torch.randn(3, 2, heads, grid**2 + 1, head_dim)
    with torch.no_grad():
        found = attention(query, key, value)
        keys, values = (pairwise(table, grid, reach) for table in (attention.keys, attention.values))
    scores = (query @ key.mT + torch.einsum("bhid,ijd->bhij", query, keys)) * head_dim**-0.5
    weights = scores.softmax(-1)
    expected = weights @ value + torch.einsum("bhij,ijd->bhid", weights, values)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_attention_is_the_residual_of_a_weighted_mean_of_values() -> None:
    block = Attention(3, 12, 2, 4, None)
    module: Any = built(block)
    x = tokens(3, 12)
    normed = torch.nn.functional.layer_norm(x, (12,), module.norm.weight, module.norm.bias)
    heads = []
    for head in range(2):
        first = range(12 * head, 12 * head + 12, 4)
        query, key, value = (
            normed @ module.qkv.weight[row : row + 4].T + module.qkv.bias[row : row + 4] for row in first
        )
        heads.append((query @ key.mT / 4**0.5).softmax(-1) @ value)
    expected = x + torch.cat(heads, -1) @ module.project.weight.T + module.project.bias
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reach", [None, 2])
@pytest.mark.parametrize("kept", [1, 2])
def test_fewer_heads_are_the_first_ones(kept: int, reach: int | None) -> None:
    """Where the last heads are projected to nothing, the first ones alone compute the same."""
    large: Any = built(Attention(3, 12, 3, 4, reach))
    small = part(large, Attention(3, 12, kept, 4, reach))
    large.project.weight[:, 4 * kept :] = 0
    x = tokens(3, 12)
    torch.testing.assert_close(small(x), large(x), rtol=1e-4, atol=1e-5)


def test_a_smaller_mlp_is_the_first_hidden_units() -> None:
    large: Any = built(MLP(2, 8, 24))
    small = part(large, MLP(2, 8, 16))
    large.project.weight[:, 16:] = 0
    x = tokens(2, 8)
    torch.testing.assert_close(small(x), large(x), rtol=1e-4, atol=1e-5)


def test_a_smaller_embedding_of_patches_is_its_first_entries() -> None:
    large, small = PatchEmbedding(12, 3, 4, 16), PatchEmbedding(12, 3, 4, 8)
    module = built(large)
    x = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(part(module, small)(x), module(x)[..., :8])


@pytest.mark.parametrize(
    "block", [lambda embed: Attention(2, embed, 2, 4, 2), lambda embed: MLP(2, embed, 16)], ids=["attention", "mlp"]
)
def test_a_smaller_embedding_is_normalised_alone(block: Callable[[int], Block]) -> None:
    """What a half computes does not change when all its tokens' entries are scaled and shifted alike."""
    small = part(built(block(16)), block(8))
    x = tokens(2, 8)
    changed = 3 * x + 5
    torch.testing.assert_close(small(changed) - changed, small(x) - x, rtol=1e-3, atol=1e-4)


def test_patches_are_embedded_row_by_row_behind_the_class_token() -> None:
    module: Any = built(PatchEmbedding(6, 2, 2, 5))
    x = torch.randn(3, 2, 6, 6)
    embedded = module(x) - module.positions
    torch.testing.assert_close(embedded[:, 0], module.class_token.expand(3, -1))
    for patch in range(9):
        row, column = divmod(patch, 3)
        pixels = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        expected = torch.einsum("bcij,ecij->be", pixels, module.project.weight) + module.project.bias
        torch.testing.assert_close(embedded[:, 1 + patch], expected, rtol=1e-4, atol=1e-5)


def test_the_classifier_reads_the_class_token_or_the_mean_of_the_patches() -> None:
    by_class, by_mean = (built(TokenClassifier(3, 8, pooling, 4)) for pooling in ("class", "mean"))  # type: ignore[arg-type]
    x = tokens(3, 8)
    others = torch.cat((x[:, :1], torch.randn(2, 9, 8)), 1)
    assert torch.equal(by_class(x), by_class(others))
    assert not torch.equal(by_mean(x), by_mean(others))
    shuffled = torch.cat((torch.randn(2, 1, 8), x[:, 1:].flip(1)), 1)
    torch.testing.assert_close(by_mean(shuffled), by_mean(x))
