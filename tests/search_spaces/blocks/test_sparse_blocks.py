"""Sparse blocks: a concatenation is a sum of two convolutions, whose parts are leading slices."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_spaces import Block
from search_spaces.blocks.sparse import Downsampling, PointwiseConvolution, SparseConvolution, Upsampling

N, PAIRS = 30, 50
JOINT = SparseConvolution(N, 5, 4, "none", False, PAIRS)


def built(block: Block) -> Any:
    torch.manual_seed(0)
    return block.build().eval()


def lists() -> tuple[Tensor, ...]:
    return JOINT.example(1, torch.Generator().manual_seed(0))[1:]


@pytest.mark.parametrize("pointwise", [False, True])
def test_a_convolution_over_a_concatenation_is_a_sum_of_two(pointwise: bool) -> None:
    """A part of the sum has a parameter of its own, and neither norm nor activation."""
    blocks: list[Block] = (
        [
            PointwiseConvolution(N, 5, 4, "none", False),
            PointwiseConvolution(N, 3, 4, "before the norm", False),
            PointwiseConvolution(N, 2, 4, "none", True),
        ]
        if pointwise
        else [
            JOINT,
            SparseConvolution(N, 3, 4, "before the norm", False, PAIRS),
            SparseConvolution(N, 2, 4, "none", True, PAIRS),
        ]
    )
    joint, first, second = (built(block) for block in blocks)
    inputs = () if pointwise else lists()
    with torch.no_grad():
        if pointwise:
            first.linear.weight.copy_(joint.linear.weight[:, :3])
            second.linear.weight.copy_(joint.linear.weight[:, 3:])
        else:
            first.kernel.weight.copy_(joint.kernel.weight[:, :3])
            second.kernel.weight.copy_(joint.kernel.weight[:, 3:])
        x = torch.randn(N, 5)
        found = first(x[:, :3], *inputs, second(x[:, 3:], *inputs))
        torch.testing.assert_close(found, joint(x, *inputs), atol=1e-5, rtol=1e-4)
    assert list(dict(second.named_parameters())) == [("linear" if pointwise else "kernel") + ".weight"]


def test_what_goes_past_a_residual_block_is_added_behind_the_norm() -> None:
    module = built(SparseConvolution(N, 5, 4, "after the norm", False, PAIRS))
    x, past = torch.randn(N, 5), torch.randn(N, 4)
    nn.init.zeros_(module.finish.norm.weight)
    assert torch.equal(module(x, *lists(), past), past.relu())


@pytest.mark.parametrize(
    ("large", "small"),
    [
        (JOINT, SparseConvolution(N, 3, 2, "none", False, PAIRS)),
        (Downsampling(N, 12, 5, 4), Downsampling(N, 12, 3, 2)),
        (Upsampling(N, 12, 5, 4), Upsampling(N, 12, 3, 2)),
    ],
    ids=["within", "down", "up"],
)
def test_fewer_channels_are_a_leading_slice(large: Block, small: Block) -> None:
    """Where the other channels are zero, the first of the results are those of the part."""
    whole, part = built(large), built(small)
    part.kernel.weight = nn.Parameter(
        small.narrow(whole.kernel.weight, "kernel.weight", part.kernel.weight, part.kernel).detach()
    )
    x, *others = large.example(1, torch.Generator().manual_seed(0))
    x[:, 3:] = 0
    torch.testing.assert_close(part(x[:, :3], *others), whole(x, *others)[:, :2], atol=1e-5, rtol=1e-4)
