"""A supernet: the largest parameters of every slot, of which every architecture's network is a slice."""

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces import Block, SearchSpace


class Supernet(nn.Module):
    """Shared weights (Once-for-All, Cai et al., ICLR 2020; AutoFormer, Chen et al., ICCV 2021) for all of a space.

    `store` holds, by slot, the largest module that any architecture has there. A network is assembled from modules
    whose parameters are views into the store and hand their gradients on to the store's: it computes and trains like
    a static network of its size, at the same speed, and no weight exists twice.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.space = space
        self.store = nn.ModuleDict({slot: block.build() for slot, block in space.store_plan.items()})
        self._forget_views()
        # `assign=True` puts other tensors into the store
        self.register_load_state_dict_post_hook(Supernet._forget_views)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor | tuple[Tensor, ...], architecture: Mapping[str, Any]) -> Tensor:
        """Run an architecture's network on shared weights.

        Batch normalisation in training mode updates the store's slices; its running statistics are a mixture over
        architectures, so accuracy is to be believed only from an extracted network with statistics estimated anew.

        Args:
            x: the tensors of the space's `inputs` for this architecture, or the one there is.
            architecture: the choices.
        """
        inputs = (x,) if isinstance(x, Tensor) else x
        output: Tensor = self.network(architecture)(*inputs)
        return output

    def network(self, architecture: Mapping[str, Any]) -> nn.Module:
        """Return the architecture's network on views of the shared weights, in this module's mode.

        Its gradients land in the store's parameters; where no network has a part, `grad` stays None.
        """
        modules = {}
        for slot, block in self.space.blocks(architecture):
            if (slot, block) not in self._views:
                self._views[slot, block] = self._view(slot, block)
            modules[slot] = module = self._views[slot, block]
            if module.training != self.training:
                module.train(self.training)
        network = self.space.assemble(modules)
        network.training = self.training  # not `train`, which would visit every module again
        return network

    def extract(self, architecture: Mapping[str, Any]) -> nn.Module:
        """Return the architecture's static network with a copy of its slices, in this module's mode."""
        network = self.network(architecture)
        copies: dict[int, Any] = {id(p): nn.Parameter(p.detach().clone()) for p in network.parameters()}
        copies |= {id(buffer): buffer.clone() for buffer in network.buffers()}
        return copy.deepcopy(network, copies).train(self.training)

    def _view(self, slot: str, block: Block) -> nn.Module:
        """Build the block's module on views of the store's tensors."""
        with torch.device("meta"):
            module = block.build()
        with torch.inference_mode(False):  # whoever asks first, the views serve training too
            for owner, name, path, like in tensors(module):
                whole = tensor_at(self.store.get_submodule(slot), path)
                view = block.narrow(whole.detach(), path, like, owner)
                if isinstance(whole, nn.Parameter):
                    view = nn.Parameter(view, requires_grad=whole.requires_grad)
                if isinstance(whole, nn.Parameter) and whole.requires_grad:
                    gradient = self._gradient(whole)
                    part = block.narrow(gradient.tensor, path, like, owner)
                    hand_on = partial(gradient.take, part=part)
                    view.register_post_accumulate_grad_hook(hand_on)  # type: ignore[no-untyped-call]
                setattr(owner, name, view)
        return module

    def _gradient(self, parameter: nn.Parameter) -> "_Gradient":
        if parameter not in self._gradients:
            self._gradients[parameter] = _Gradient(parameter)
        return self._gradients[parameter]

    def _forget_views(self, *_: object) -> None:
        self._views: dict[tuple[str, Block], nn.Module] = {}
        self._gradients: dict[Tensor, _Gradient] = {}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Supernet":
        """Move or convert the store; views into the storage it had before are forgotten."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._forget_views()
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave the views behind: a copy makes its own."""
        return {**self.__dict__, "_views": {}, "_gradients": {}}


def tensors(module: nn.Module) -> Iterator[tuple[nn.Module, str, str, Tensor]]:
    """Yield each parameter and buffer: the submodule that holds it, its name there, its path, itself."""
    for prefix, owner in module.named_modules():
        for name, tensor in (*owner.named_parameters(recurse=False), *owner.named_buffers(recurse=False)):
            yield owner, name, f"{prefix}.{name}" if prefix else name, tensor


def tensor_at(module: nn.Module, path: str) -> Tensor:
    """Return the parameter or buffer at a path."""
    owner, _, name = path.rpartition(".")
    tensor: Tensor = getattr(module.get_submodule(owner), name)
    return tensor


class _Gradient:
    """Where the views of a parameter put their gradients: zero outside the parts that any has written.

    To make the whole zero in every step would cost small networks of a large store a good part of it.
    """

    def __init__(self, parameter: nn.Parameter) -> None:
        self.tensor = torch.zeros_like(parameter)
        self._parameter = parameter
        self._written: dict[int, Tensor] = {}

    def take(self, view: Tensor, part: Tensor) -> None:
        """Add a view's gradient, as soon as it is there, to its part of the whole's."""
        assert view.grad is not None
        if self._parameter.grad is None:
            for other in self._written.values():
                other.zero_()
            self._written = {}
            part.copy_(view.grad)
        else:
            if self._parameter.grad is not self.tensor:
                self.tensor.copy_(self._parameter.grad)
                self._written = {id(self.tensor): self.tensor}
            part.add_(view.grad)
        self._written[id(part)] = part
        self._parameter.grad = self.tensor
        view.grad = None
