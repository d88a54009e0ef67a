"""What a supernet must hold: for each slot of a space's plans, the block of which all others there are parts."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from search_spaces.block import Block, Plan, Shape
from search_spaces.plan_index import PlanIndex


def covering(index: PlanIndex, preferred: Plan) -> Plan:
    """Return a block for every slot, in the slots' order.

    Args:
        index: the plans of a space.
        preferred: blocks that are looked at first, and taken where they cover the others.

    Raises:
        ValueError: the blocks of a slot are not all parts of one of them.
    """
    return {
        slot: largest(slot, [index.blocks[i] for i in np.unique(table[table >= 0])], preferred.get(slot))
        for slot, table in zip(index.slots, index.tables, strict=True)
    }


def largest(slot: str, blocks: Sequence[Block], preferred: Block | None) -> Block:
    """Return the block of which all others are parts: the preferred one, or the first that is.

    Raises:
        ValueError: there is none.
    """
    candidates = blocks if preferred is None else [preferred, *blocks]
    for candidate in candidates:
        if all(covers(candidate, block) for block in blocks):
            return candidate
    raise ValueError(f"no block of slot {slot!r} holds all others: let unlike blocks stand in slots of their own")


def covers(large: Block, small: Block) -> bool:
    """Tell whether every tensor of a block is a part of one of another's."""
    held = shapes(large)
    return large == small or all(
        path in held and len(held[path]) == len(shape) and all(n >= m for n, m in zip(held[path], shape, strict=True))
        for path, shape in shapes(small).items()
    )


@lru_cache(maxsize=1 << 14)
def shapes(block: Block) -> dict[str, Shape]:
    """Return the shapes of a block's parameters and buffers by path."""
    with torch.device("meta"):
        module = block.build()
    return {path: tuple(t.shape) for path, t in (*module.named_parameters(), *module.named_buffers())}
