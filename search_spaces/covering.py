"""What a supernet must hold: for each slot of a space's plans, the block of which all others there are parts."""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch

from search_spaces.block import Block, Plan, Shape
from search_spaces.plan_index import PlanIndex


def covering(index: PlanIndex, preferred: Plan) -> Plan:
    """Return a block for every slot, in the slots' order: one that some network has, or else their least bound.

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
    """Return the block of which all others are parts: the preferred one, or the first that is, or their least bound.

    Raises:
        ValueError: there is none.
    """
    candidates = blocks if preferred is None else [preferred, *blocks]
    for candidate in (*candidates, *_bound(blocks)):
        if all(covers(candidate, block) for block in blocks):
            return candidate
    raise ValueError(f"no block of slot {slot!r} holds all others: let unlike blocks stand in slots of their own")


def _bound(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield the block that has the largest of every number, where all else about the blocks is equal.

    The widest input and the widest output of a slot need not belong to the same network.
    """
    first, names = blocks[0], [field.name for field in dataclasses.fields(blocks[0])]
    if {type(block) for block in blocks} != {type(first)}:
        return
    values = {name: {getattr(block, name) for block in blocks} for name in names}
    differing = {name: found for name, found in values.items() if len(found) > 1}
    if all(type(value) is int for found in differing.values() for value in found):
        yield dataclasses.replace(first, **{name: max(found) for name, found in differing.items()})


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
