"""Network morphisms: a larger network of the space that computes what a trained one does (Net2Net, Chen et al., 2016).

Smaller is a leading slice of larger, so growing needs one rule a block (`Block.widen`): the slice is the old tensor,
and what old outputs would take from new inputs is zero. New blocks add nothing (`Block.silence`). New outputs are drawn
at random, and what the next layer makes of them is zero at first; a step of training moves the latter, the next ones
both. Net2Net copies channels instead, and divides what goes out of them: copies have equal gradients for ever, which is
what its noise is for. What is drawn at random has no twin, and needs no noise.

What cannot grow: an embedding that layer normalisation averages over, the resolution of images or grids, whatever else
changes what a layer computes beside its width. The function is kept in evaluation mode.
"""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces import Block, InputError, SearchSpace
from search_spaces.covering import covers, shapes
from search_spaces.plan_index import Population


def morph(space: SearchSpace, network: nn.Module, source: Mapping[str, Any], target: Mapping[str, Any]) -> nn.Module:
    """Return a network of another architecture that computes what a network does, in the same mode.

    Args:
        space: that of both architectures.
        network: a static network, built or extracted; it is left as it is.
        source: its architecture.
        target: a larger one.

    Raises:
        InputError: the target is not larger throughout, or no weights make it compute the same; names the block.
    """
    before, after = space.plan(source), space.plan(target)
    for slot in {**before, **after}:
        if reason := _obstacle(before.get(slot), after.get(slot)):
            raise InputError(f"{slot}: {reason}")

    def fill(slot: str, block: Block, fresh: nn.Module) -> None:
        if slot in before:
            _fill(fresh, network.get_submodule(slot), before[slot].widen)
        else:
            block.silence(fresh)

    return _filled(space, target, network, fill)


def inherit(space: SearchSpace, network: nn.Module, source: Mapping[str, Any], target: Mapping[str, Any]) -> nn.Module:
    """Return a network of any other architecture with the weights that both have in common.

    By a morphism where one leads to the target. Else by what LEMONADE calls an approximate one (Elsken et al., ICLR
    2019): wherever the two have blocks of a type, weights are leading slices of each other, and the new network
    computes something like the old one at best.

    Args:
        space: that of both architectures.
        network: a static network; it is left as it is.
        source: its architecture.
        target: the new one.
    """
    if possible(space, space.encode([source]), space.encode([target])).all():
        return morph(space, network, source, target)
    before = space.plan(source)

    def fill(slot: str, block: Block, fresh: nn.Module) -> None:
        if type(before.get(slot)) is type(block):
            _fill(fresh, network.get_submodule(slot), block.overlap)
        else:
            with suppress(InputError):
                block.silence(fresh)

    return _filled(space, target, network, fill)


def possible(space: SearchSpace, sources: Population, targets: Population) -> NDArray[np.bool_]:
    """Return (N,): whether `morph` leads from each source (N, choices) to its target (N, choices)."""
    blocks = [*space.index.blocks, None]  # the last stands for an absent block, whose number is -1
    before, after = (space.index.block_ids(rows) % len(blocks) for rows in (sources, targets))
    pairs, place = np.unique(before * len(blocks) + after, return_inverse=True)
    fine = [_obstacle(*(blocks[i] for i in divmod(pair, len(blocks)))) is None for pair in pairs.tolist()]
    return np.asarray(np.array(fine, bool)[place.reshape(before.shape)].all(axis=1))


def enlargements(space: SearchSpace, population: Population) -> NDArray[np.bool_]:
    """Return (N, choices): whether the next larger option of that choice is a network that a morphism leads to.

    Where that changes nothing, as in an inactive choice, there is no network to lead to.
    """
    n, n_choices = population.shape
    before = np.repeat(population, n_choices, axis=0)
    raised = before.copy()
    raised[np.arange(len(raised)), np.tile(np.arange(n_choices), n)] += 1
    raised = np.minimum(raised, space.n_options - 1)
    changed = (space.index.block_ids(before) != space.index.block_ids(raised)).any(axis=1)
    return np.asarray(changed & possible(space, before, raised)).reshape(n, n_choices)


def _filled(
    space: SearchSpace, target: Mapping[str, Any], like: nn.Module, fill: Callable[[str, Block, nn.Module], None]
) -> nn.Module:
    """Build a network whose fresh blocks are filled one by one, in the mode and on the device of another."""
    modules = {}
    for slot, block in space.blocks(target):
        modules[slot] = block.build()
        fill(slot, block, modules[slot])
    return space.assemble(modules).to(next(like.parameters()).device).train(like.training)


def _fill(fresh: nn.Module, old: nn.Module, put: Callable[[Tensor, Tensor, str, nn.Module], None]) -> None:
    """Put the tensors of a trained module into those of the same names in a fresh one, in place."""
    held = fresh.state_dict()
    for path, tensor in old.state_dict().items():
        if path in held:
            put(tensor, held[path], path, fresh.get_submodule(path.rpartition(".")[0]))


@lru_cache(maxsize=1 << 16)
def _obstacle(before: Block | None, after: Block | None) -> str | None:
    """Return why a block, or none, cannot become another in the same slot; None where it can."""
    if before == after:
        return None
    if after is None:
        return f"{before} is not in the target: a morphism leads to larger networks only"
    if before is None:
        with torch.device("meta"):
            module = after.build()
        try:
            after.silence(module)
        except InputError as error:
            return str(error)
        return None
    if type(before) is not type(after):
        return f"{before} cannot become {after}: they are of different types"
    for field in dataclasses.fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old != new and field.name not in before.growing:
            return (
                f"{field.name} cannot go from {old} to {new} without a change of what {type(before).__name__} computes"
            )
    if shapes(before).keys() != shapes(after).keys() or not covers(after, before):
        return f"{before} is not a part of {after}: a morphism leads to larger networks only"
    return None
