"""A mask counts an element as much as the blocks that use it count together."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.differentiable.mask import Box, Mask, box_of

SIDES = (4, 1, 3)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    edges = [sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in SIDES]
    return tuple((first, last) for first, last in edges)


def ones(box: Box) -> torch.Tensor:
    mask = torch.zeros(SIDES)
    mask[tuple(slice(first, last) for first, last in box)] = 1
    return mask


@given(st.lists(boxes(), min_size=1, max_size=5), st.integers(0, 99))
def test_a_mask_is_the_expectation_of_the_boxes(held: list[Box], seed: int) -> None:
    shares = torch.rand(len(held), generator=torch.Generator().manual_seed(seed))
    frame: Box = tuple((0, n) for n in SIDES)
    mask = Mask(held, frame)(shares).expand(SIDES)
    expected = torch.stack([share * ones(box) for share, box in zip(shares, held, strict=True)]).sum(0)
    assert torch.allclose(mask, expected)


@given(boxes())
def test_a_view_says_which_box_it_is(box: Box) -> None:
    whole = torch.empty(SIDES)
    assert box_of(whole, whole[tuple(slice(first, last) for first, last in box)]) == box


def test_what_all_blocks_use_alike_takes_one_number() -> None:
    box: Box = ((0, 2), (0, 3))
    assert Mask([box, box], box)(torch.tensor([0.25, 0.75])).shape == (1, 1)
