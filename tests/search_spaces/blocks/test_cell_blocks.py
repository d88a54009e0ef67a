"""The operations on the edges of cells see what was published, at images of odd sizes too."""

import pytest
import torch
from torch import Tensor

from search_spaces import Block
from search_spaces.blocks.cells import (
    DilatedConv,
    FactorizedReduce,
    Pool,
    ReLUConvNorm,
    ResidualReduction,
    SeparableConv,
)


def seen(block: Block) -> set[tuple[int, int]]:
    """Return which pixels, from the middle one on, the middle pixel of the first output channel depends on."""
    torch.manual_seed(0)
    (spec,) = block.inputs
    x = torch.rand(1, *spec.shape).requires_grad_()  # positive, so that no rectifier hides a pixel of the input
    module = block.build().eval()
    for parameter in module.parameters():
        parameter.data.abs_()  # nor one within
    y = module(x)
    middle = y.shape[-1] // 2
    y[0, 0, middle, middle].backward()
    assert x.grad is not None
    rows = (x.grad[0].abs().sum(0) > 0).nonzero() - x.shape[-1] // 2
    return {(int(row), int(column)) for row, column in rows}


def square(reach: int, step: int = 1) -> set[tuple[int, int]]:
    return {(x, y) for x in range(-reach, reach + 1, step) for y in range(-reach, reach + 1, step)}


@pytest.mark.parametrize(
    ("block", "pixels"),
    [
        (ReLUConvNorm(15, 4, 4, 1, 1), square(0)),
        (ReLUConvNorm(15, 4, 4, 1, 3), square(1)),
        (Pool(15, 4, 4, 1, "avg"), square(1)),
        (DilatedConv(15, 4, 4, 1, 3), square(2, 2)),
        (DilatedConv(15, 4, 4, 1, 5), square(4, 2)),
        (SeparableConv(15, 4, 4, 1, 3), square(2)),
        (SeparableConv(15, 4, 4, 1, 5), square(4)),
    ],
    ids=repr,
)
def test_an_operation_sees_as_far_as_published(block: Block, pixels: set[tuple[int, int]]) -> None:
    assert seen(block) == pixels


def test_an_average_is_over_what_lies_inside_the_image() -> None:
    pooled: Tensor = Pool(4, 1, 1, 1, "avg").build()(torch.ones(1, 1, 4, 4))
    assert torch.equal(pooled, torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_a_reduction_halves_images_of_any_size(size: int) -> None:
    x = torch.randn(2, 4, size, size)
    for block in (FactorizedReduce(size, 4, 7), ResidualReduction(size, 4, 6)):
        assert block.build().eval()(x).shape == (2, *block.output.shape)


def test_the_second_half_of_a_factorized_reduction_sees_the_image_moved_by_a_pixel() -> None:
    module = FactorizedReduce(6, 2, 4).build().eval()
    x = torch.rand(1, 2, 6, 6, requires_grad=True)
    y = module(x)
    for channel, first in ((0, 0), (3, 1)):
        (gradient,) = torch.autograd.grad(y[0, channel, 1, 1], x, retain_graph=True)
        (pixel,) = (gradient[0].abs().sum(0) > 0).nonzero().tolist()
        assert pixel == [2 + first, 2 + first]
