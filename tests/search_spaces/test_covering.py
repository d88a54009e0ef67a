"""What a slot's store must hold: one of its blocks, or the least bound of all."""

import pytest

from search_spaces import Block
from search_spaces.block import Plan
from search_spaces.blocks.mobile import ConvNorm
from search_spaces.covering import covering
from search_spaces.plan_index import PlanIndex


def covered(*blocks: Block) -> Block:
    """Return what the store holds for a slot in which these blocks stand."""

    def plan(row: object) -> Plan:
        return {"slot": blocks[row[0]]}  # type: ignore[index]

    return covering(PlanIndex([len(blocks)], plan), plan([0]))["slot"]


def convolution(in_channels: int, out_channels: int, kernel: int = 3) -> ConvNorm:
    return ConvNorm(8, in_channels, out_channels, kernel, 1, "relu")


def test_a_block_that_holds_all_others_is_taken() -> None:
    assert covered(convolution(4, 8), convolution(8, 8, 5), convolution(2, 4)) == convolution(8, 8, 5)


def test_blocks_of_which_none_holds_all_others_are_parts_of_their_least_bound() -> None:
    assert covered(convolution(4, 16), convolution(8, 8), convolution(2, 4, 5)) == convolution(8, 16, 5)


def test_unlike_blocks_are_refused() -> None:
    class OtherConvNorm(ConvNorm):
        pass

    with pytest.raises(ValueError, match="no block of slot 'slot' holds all others"):
        covered(convolution(4, 16), OtherConvNorm(8, 8, 8, 3, 1, "relu"))
