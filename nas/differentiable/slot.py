"""One slot of a supernet in which blocks are mixed: which of them there are, and which parameters each uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.differentiable.mask import Box, Mask, box_of
from nas.differentiable.mixture import MaskedLayerNorm
from nas.supernet import tensor_at, tensors
from search_spaces import Block
from search_spaces.covering import largest

Weights = Sequence[Tensor]
"""For each choice a weight for each of its options, (options,), which sum to one: probabilities or a sample."""

Support = tuple[tuple[int, ...], ...]
"""For each choice the options that are computed; the weights of all others must be 0."""

_RARE = 1e-6
"""Where a slot is there with a lower probability, how its blocks differ shows as if it were there for sure."""


@dataclass(frozen=True)
class Part:
    """What of a slot is computed under a support.

    Attributes:
        frame: the block that holds all others.
        boxes: where its parameters and buffers lie in the stored ones, by path.
        options: that are computed, of each choice in the slot's scope.
        rank: for each combination of those, the number of its block plus one; 0 where there is none.
        n_blocks: how many different blocks there are.
        masks: of the parameters that read different inputs or kernels in different blocks, by path.
        norms: masks of the layer norms over a varying number of features, by path.
    """

    frame: Block
    boxes: Mapping[str, Box]
    options: Support
    rank: Tensor
    n_blocks: int
    masks: Mapping[str, Mask]
    norms: Mapping[str, Mask]


class MixedSlot:
    """A slot of a supernet and the blocks that stand there.

    Args:
        name: of the slot.
        stored: the module that holds the shared weights.
        scope: the choices that decide what stands there.
        table: over their options, the number of the block or -1 where there is none.
        blocks: of the space.
    """

    def __init__(
        self, name: str, stored: nn.Module, scope: Sequence[int], table: NDArray[np.int64], blocks: Sequence[Block]
    ) -> None:
        self.name = name
        self.stored = stored
        self.scope = tuple(scope)
        self.may_be_absent = bool((table < 0).any())
        self._table = table
        self._blocks = {int(i): blocks[i] for i in np.unique(table[table >= 0])}
        self._boxes = {i: self._boxes_of(block) for i, block in self._blocks.items()}
        self._skeletons: dict[Block, nn.Module] = {}
        self._parts: dict[Support, Part | None] = {}

    @property
    def ends_branch(self) -> bool:
        """Whether its blocks are handed what the branch that they end is added to."""
        return all(block.inputs[-1].name == "addend" for block in self._blocks.values())

    def unseen(self) -> set[int]:
        """Return the choices with two options whose modules differ, but not in the boxes of their parameters."""
        boxes = self._numbered({i: tuple(boxes.items()) for i, boxes in self._boxes.items()})
        modules = self._numbered({i: (self._boxes[i], _constants(_built(b))) for i, b in self._blocks.items()})
        return {choice for axis, choice in enumerate(self.scope) if _differs_unseen(modules, boxes, axis)}

    @cached_property
    def deciding(self) -> set[int]:
        """The choices that decide whether there is a block at all."""
        absent = self._table < 0
        return {c for axis, c in enumerate(self.scope) if (absent != absent.take([0], axis)).any()}

    def part(self, support: Support) -> Part | None:
        """Return what is computed under a support; None where nothing is."""
        options = tuple(support[choice] for choice in self.scope)
        if options not in self._parts:
            self._parts[options] = self._part(options)
        return self._parts[options]

    def shares(self, part: Part, weights: Weights) -> tuple[Tensor, Tensor]:
        """Return how much the slot is there, a scalar, and how much each block counts where it is, (blocks,).

        Also where the slot is not there: what the gate of its absence learns is what it would compute.
        """
        joint = self._joint(part, weights)
        present = joint.sum()
        if not self.may_be_absent:
            return present, joint
        if part.n_blocks == 1:
            return present, torch.ones_like(joint)
        evenly = [torch.ones_like(w) if c in self.deciding else w.detach() for c, w in enumerate(weights)]
        otherwise = self._joint(part, evenly)
        is_there = present > _RARE
        return present, joint.where(is_there, otherwise) / present.where(is_there, otherwise.sum().clamp(min=_RARE))

    def _joint(self, part: Part, weights: Weights) -> Tensor:
        """Return the product of the weights of the options with which each block is there, (blocks,)."""
        joint = torch.ones(1, device=weights[0].device)
        for choice, options in zip(self.scope, part.options, strict=True):
            joint = (joint[:, None] * weights[choice][list(options)]).flatten()
        return joint.new_zeros(1 + part.n_blocks).index_add(0, part.rank.to(joint.device), joint)[1:]

    def skeleton(self, part: Part) -> nn.Module:
        """Return the frame's module without values, whose masked norms know how much each feature counts."""
        if part.frame not in self._skeletons:
            self._skeletons[part.frame] = module = _built(part.frame)
            with torch.device("meta"):
                for path in self._norms:
                    norm = module.get_submodule(path)
                    assert isinstance(norm, nn.LayerNorm)
                    module.set_submodule(path, MaskedLayerNorm(norm))
        return self._skeletons[part.frame]

    def tensors(self, part: Part, shares: Tensor) -> dict[str, Tensor]:
        """Return the parameters, masked, and the buffers of a frame's module, by path.

        A channel counts by what reads it, once, and is itself computed as if it counted in full: so the masks of
        FBNetV2 are behind activations, whatever these are, and no norm before them undoes a mask.

        Args:
            part: what is computed.
            shares: how much each block counts, (blocks,).
        """
        found = {}
        for path, box in part.boxes.items():
            found[path] = tensor_at(self.stored, path)[tuple(slice(first, last) for first, last in box)]
        for path, mask in part.masks.items():
            found[path] = found[path] * mask(shares)
        return found | {f"{path}.share": mask(shares) for path, mask in part.norms.items()}

    @cached_property
    def _varying(self) -> set[str]:
        """The paths of the tensors of which not all blocks use the same box."""
        first, *others = self._boxes.values()
        return {path for path, box in first.items() if any(boxes[path] != box for boxes in others)}

    @cached_property
    def _norms(self) -> list[str]:
        """The paths of the layer norms over a varying number of features."""
        modules = self.stored.named_modules()
        return [path for path, m in modules if isinstance(m, nn.LayerNorm) and f"{path}.weight" in self._varying]

    def _numbered(self, of_block: Mapping[int, object]) -> NDArray[np.int64]:
        """Return the table with what is known of each block in its place, equal things by equal numbers."""
        things = list(of_block.values())
        numbers = dict(zip(of_block, map(things.index, things), strict=True)) | {-1: -1}
        return np.asarray(np.vectorize(numbers.__getitem__, otypes=[np.int64])(self._table))

    def _part(self, options: Support) -> Part | None:
        table = self._table[np.ix_(*options)] if options else self._table
        present = np.unique(table[table >= 0])
        if not len(present):
            return None
        blocks = [self._blocks[int(i)] for i in present]
        frame = largest(self.name, blocks, self._blocks.get(int(table.flat[-1])))
        rank = torch.from_numpy(np.searchsorted(present, table.ravel()) + 1)
        rank[torch.from_numpy(table.ravel() < 0)] = 0
        held, whole = [self._boxes[int(i)] for i in present], self._boxes_of(frame)
        norms = {
            path: Mask([boxes[f"{path}.weight"] for boxes in held], whole[f"{path}.weight"]) for path in self._norms
        }
        return Part(frame, whole, options, rank, len(present), self._masks(held, frame, whole), norms)

    def _masks(self, held: Sequence[Mapping[str, Box]], frame: Block, whole: Mapping[str, Box]) -> dict[str, Mask]:
        """Return masks of the parameters of which blocks use different boxes, along all dimensions but the outputs'."""
        masks = {}
        for owner, _, path, like in tensors(_built(frame)):
            if path in self._varying and isinstance(like, nn.Parameter):
                made = frame.output_dim(owner) % like.ndim
                boxes = [(*box[:made], whole[path][made], *box[made + 1 :]) for box in (of[path] for of in held)]
                if any(box != whole[path] for box in boxes):
                    masks[path] = Mask(boxes, whole[path])
        return masks

    def _boxes_of(self, block: Block) -> dict[str, Box]:
        """Return where a block's parameters and buffers lie in the stored ones, by path.

        Raises:
            ValueError: the block lacks a parameter that the stored module has, so that it is no mask of it.
        """
        boxes = {}
        for owner, _, path, like in tensors(_built(block)):
            whole = tensor_at(self.stored, path).detach()
            boxes[path] = box_of(whole, block.narrow(whole, path, like, owner))
        for path, _ in self.stored.named_parameters():
            if path not in boxes:
                raise ValueError(f"{block} in slot {self.name!r} has no {path}: let it stand in a slot of its own")
        return boxes


def _built(block: Block) -> nn.Module:
    """Return a block's module without values."""
    with torch.device("meta"):
        return block.build()


def _constants(module: nn.Module) -> list[tuple[str, str, object]]:
    """Return the plain attributes of a module and all within it: what it computes, beside its parameters."""
    plain = (bool, int, float, str, tuple, type(None))
    return [
        (path, name, value)
        for path, part in module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, plain)
    ]


def _differs_unseen(table: NDArray[np.int64], seen: NDArray[np.int64], axis: int) -> bool:
    """Tell whether two entries that differ along one axis alone are unlike, but look alike."""
    unlike, alike = np.moveaxis(table, axis, 0), np.moveaxis(seen, axis, 0)
    return any(
        bool(((unlike[i] != unlike[j]) & (alike[i] == alike[j])).any()) for i in range(len(unlike)) for j in range(i)
    )
