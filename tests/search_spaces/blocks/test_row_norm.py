"""Rows are normalised as batches are, a single one too."""

import torch
from torch import nn

from search_spaces.blocks.row_norm import RowNorm


def test_several_rows_are_a_batch() -> None:
    x, ours, plain = torch.randn(5, 3), RowNorm(3), nn.BatchNorm1d(3)
    for _ in range(2):
        assert torch.equal(ours(x), plain(x))
        assert torch.equal(ours.running_mean, plain.running_mean)  # type: ignore[arg-type]
        x = x[:2] + 1
    assert torch.equal(ours.eval()(x[:1]), plain.eval()(x[:1]))


def test_a_single_row_is_normalised_by_what_is_known_and_teaches_nothing() -> None:
    norm = RowNorm(3)
    norm(torch.randn(5, 3))
    x, before = torch.randn(1, 3), {name: buffer.clone() for name, buffer in norm.named_buffers()}
    trained = norm(x)
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())
    assert torch.equal(trained, norm.eval()(x))
