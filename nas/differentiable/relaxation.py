"""A supernet as a function of the probabilities of options, through which gradients reach them.

A channel that only large options have counts by their probability wherever it is read, as in FBNetV2 (Wan et al., CVPR
2020), and so does an element of a kernel: what reads it is multiplied by its expected mask. What an architecture may do
without counts by its output: operations that are added up are the sum of p * op(x) (DARTS, Liu et al., ICLR 2019). At
probabilities of 0 and 1 the result is the network of that architecture, and what is closed gets the gradient of what
it would have computed.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor, nn
from torch.func import functional_call

from nas.differentiable.mixture import MixedChain, Weighted, WeightedBranch
from nas.differentiable.slot import MixedSlot, Part, Support, Weights
from nas.supernet import Supernet
from search_spaces.places import Place, in_order, places

_KEPT = 64
"""So many networks are kept, each of a support of its own."""


class Relaxation:
    """Runs mixtures of a supernet's networks on its shared weights.

    A choice that changes what is computed and no parameter, as the resolution of images does, shows in no mask: it is
    one of the `sampled`, of which a support names one option each.

    Args:
        supernet: the shared weights, which get gradients as any parameters do.

    Attributes:
        space: the supernet's space, in the form in which what stands on an edge depends on its own choices alone.
        sampled: numbers of the choices that can only be sampled.
    """

    def __init__(self, supernet: Supernet) -> None:
        self.supernet = supernet
        self.space = supernet.space.independent
        index = self.space.index
        entries = {s: (c, t) for s, c, t in zip(index.slots, index.depends, index.tables, strict=True)}
        self._slots = {
            slot: MixedSlot(slot, supernet.store.get_submodule(slot), *entries[slot], index.blocks)
            for slot in in_order(self.space)
        }
        self._places = [self._place(place) for place in places(self.space)] if self._passes_absent_on else []
        self._mixed = {slot for place in self._places if place.is_mixed for slot in place.slots}
        self.sampled = self._find_sampled()
        self._networks: dict[Support, nn.Module] = {}

    def __call__(self, weights: Weights, support: Support, inputs: Sequence[Tensor]) -> Tensor:
        """Return the output of a mixture, in the supernet's mode.

        Args:
            weights: of all options.
            support: the options that are computed.
            inputs: of a network of the support; all its networks take the same.
        """
        parts = {name: part for name, slot in self._slots.items() if (part := slot.part(support)) is not None}
        network = self._network(support, parts).train(self.supernet.training)
        replaced: dict[str, Tensor] = {}
        for name, part in parts.items():
            replaced |= self._tensors(self._slots[name], part, weights)
        output: Tensor = functional_call(network, replaced, tuple(inputs))
        return output

    def _find_sampled(self) -> tuple[int, ...]:
        last = self.space.n_options - 1
        inputs = self.space.inputs(self.space.largest())
        found = {
            int(np.flatnonzero(row != last)[0])
            for row in self.space.neighbours(last)
            if self.space.inputs(self.space.decode(row[None])[0]) != inputs
        }
        for name, slot in self._slots.items():
            unknown = name not in self._mixed if self._passes_absent_on else self.space.absent == "unknown"
            found |= slot.unseen() | (slot.deciding if unknown else set())
        return tuple(sorted(found))

    @property
    def _passes_absent_on(self) -> bool:
        return self.space.absent == "identity"

    def _place(self, place: Place) -> Place:
        """Return a place as one that is never passed over, if what may stand there changes the shape."""
        blocks = [self.space.store_plan[slot] for slot in place.slots]
        keeps_shape = all(block.inputs[0].shape == block.output.shape for block in blocks)
        return replace(place, may_be_empty=place.may_be_empty and keeps_shape)

    def _network(self, support: Support, parts: dict[str, Part]) -> nn.Module:
        if support not in self._networks:
            if len(self._networks) >= _KEPT:
                del self._networks[next(iter(self._networks))]
            modules = {name: self._slots[name].skeleton(part) for name, part in parts.items()}
            if self._passes_absent_on:
                self._networks[support] = MixedChain(modules, self._places)
            else:
                weighted = {n: w(m) if (w := self._weighted(self._slots[n])) else m for n, m in modules.items()}
                self._networks[support] = self.space.assemble(weighted)
        return self._networks[support]

    def _weighted(self, slot: MixedSlot) -> type[Weighted] | None:
        """Return what lets a slot's module count as much as it is there; None if nothing has to."""
        if slot.may_be_absent and self.space.absent == "zero":
            return Weighted
        if slot.may_be_absent and self.space.absent == "addend" and slot.ends_branch:
            return WeightedBranch
        return None

    def _tensors(self, slot: MixedSlot, part: Part, weights: Weights) -> dict[str, Tensor]:
        """Return what stands for the parameters and buffers of a slot's module, by their paths in the network."""
        (present, shares), found, prefix = slot.shares(part, weights), {}, slot.name
        if slot.name in self._mixed:
            found[f"share_{slot.name}"] = present
        if self._weighted(slot):
            found[f"{slot.name}.share"], prefix = present, f"{slot.name}.module"
        return found | {f"{prefix}.{path}": tensor for path, tensor in slot.tensors(part, shares).items()}
