"""Modules that mix what several networks compute in one place; how much each counts is a buffer, to be replaced."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from search_spaces.places import Place


class Weighted(nn.Module):
    """A module whose output counts by its `share`, in a network that adds up what it computes."""

    share: Tensor

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("share", torch.ones(()))

    def forward(self, *inputs: Tensor) -> Tensor:
        y: Tensor = self.share * self.module(*inputs)
        return y


class WeightedBranch(Weighted):
    """The end of a branch, beside what the branch is added to: the last input counts as much as the module does not."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return super().forward(*inputs) + (1 - self.share) * inputs[-1]


class MaskedLayerNorm(nn.Module):
    """Layer normalisation over those features that count, as much as they count: `share` is (features,) or (1,)."""

    share: Tensor

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.register_buffer("share", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        share = self.share / self.share.expand(x.shape[-1]).sum().clamp(min=self.eps)  # 0 where the block is absent
        centred = x - (x * share).sum(-1, keepdim=True)
        variance = (centred.square() * share).sum(-1, keepdim=True)
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


class MixedChain(nn.Module):
    """A chain of places, each with one module or several alternatives, whose mean is passed on.

    Args:
        modules: by slot.
        places: in the order of the chain. How much the modules of a mixed one count are buffers `share_<slot>`.
    """

    def __init__(self, modules: Mapping[str, nn.Module], places: Sequence[Place]) -> None:
        super().__init__()
        self._places = places
        for slot, module in modules.items():
            self.add_module(slot, module)
        for place in places:
            for slot in place.slots if place.is_mixed else ():
                self.register_buffer(f"share_{slot}", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        for place in self._places:
            slots = [slot for slot in place.slots if slot in self._modules]
            if place.is_mixed and slots:
                x = self._mean(slots, x, passed_on=place.may_be_empty)
            elif slots:
                x = self.get_submodule(slots[0])(x)
        return x

    def _mean(self, slots: Sequence[str], x: Tensor, *, passed_on: bool) -> Tensor:
        shares = [self.get_buffer(f"share_{slot}") for slot in slots]
        terms = [share * self.get_submodule(slot)(x) for slot, share in zip(slots, shares, strict=True)]
        return sum(terms, (1 - sum(shares)) * x) if passed_on else sum(terms[1:], terms[0])
