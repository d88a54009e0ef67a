"""A supernet: the parameters of the largest network, of which every architecture's network is a slice."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces import Block, SearchSpace

# The gradient of a slice is accumulated in place into a slice of equal strides, which is what torch doubts here.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")


class Supernet(nn.Module):
    """Shared weights (Once-for-All, Cai et al., ICLR 2020; AutoFormer, Chen et al., ICCV 2021) for all of a space.

    `store` is the static network of the largest architecture. Any other network is assembled from modules whose
    parameters are views into the store and whose gradients are views into the store's gradients: it computes and
    trains like a static network of its size, at the same speed, and no weight exists twice.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.space = space
        self.store = space.build(space.largest())
        self._forget_views()

    def forward(self, x: Tensor, architecture: Mapping[str, Any]) -> Tensor:
        """Run an architecture's network on shared weights.

        Batch normalisation in training mode updates the store's slices; its running statistics are a mixture over
        architectures, so accuracy is to be believed only from an extracted network with statistics estimated anew.

        Args:
            x: input of the architecture's `input_shape`, with a batch axis in front.
            architecture: the choices.
        """
        output: Tensor = self.network(architecture)(x)
        return output

    def network(self, architecture: Mapping[str, Any]) -> nn.Module:
        """Return the architecture's network on views of the shared weights, in this module's mode.

        Its gradients land in the store's parameters, whose `grad` stays None where no network so obtained since
        the last `zero_grad()` has a part: ask for it anew for each training step.
        """
        modules = {}
        for slot, block in self.space.blocks(architecture):
            if (slot, block) not in self._views:
                self._views[slot, block] = self._view(slot, block)
            modules[slot] = module = self._views[slot, block]
            if module.training != self.training:
                module.train(self.training)
            if self.training:
                self._attach_gradients(slot)
        return self.space.assemble(modules)

    def extract(self, architecture: Mapping[str, Any]) -> nn.Module:
        """Return the architecture's static network with a copy of its slices, in this module's mode."""
        network = self.space.build(architecture)
        network.load_state_dict(self.network(architecture).state_dict())
        return network.to(next(self.store.parameters()).device).train(self.training)

    def _view(self, slot: str, block: Block) -> nn.Module:
        """Build the block's module with its tensors and gradients replaced by views into the store's."""
        with torch.device("meta"):
            module = block.build()
        large = self.store.get_submodule(slot)
        for owner, name, path, like in _tensors(module):
            whole = _tensor(large, path)
            view = block.narrow(whole.detach(), path, like, owner)
            if isinstance(like, nn.Parameter):
                view = nn.Parameter(view)
                view.grad = block.narrow(self._gradient(whole), path, like, owner)
            setattr(owner, name, view)
        return module

    def _gradient(self, parameter: Tensor) -> Tensor:
        if parameter not in self._gradients:
            self._gradients[parameter] = torch.zeros_like(parameter)
        return self._gradients[parameter]

    def _attach_gradients(self, slot: str) -> None:
        """Make the views' gradients those of the store: zero where the last step's were cleared."""
        for parameter in self.store.get_submodule(slot).parameters():
            gradient = self._gradient(parameter)
            if parameter.grad is None:
                parameter.grad = gradient.zero_()
            elif parameter.grad is not gradient:
                parameter.grad = gradient.copy_(parameter.grad)

    def _forget_views(self) -> None:
        self._views: dict[tuple[str, Block], nn.Module] = {}
        self._gradients: dict[Tensor, Tensor] = {}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Supernet":
        """Move or convert the store; views into the storage it had before are forgotten."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._forget_views()
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave the views behind: a copy makes its own."""
        return {**self.__dict__, "_views": {}, "_gradients": {}}


def _tensors(module: nn.Module) -> Iterator[tuple[nn.Module, str, str, Tensor]]:
    """Yield each parameter and buffer: the submodule that holds it, its name there, its path, itself."""
    for prefix, owner in module.named_modules():
        for name, tensor in (*owner.named_parameters(recurse=False), *owner.named_buffers(recurse=False)):
            yield owner, name, f"{prefix}.{name}" if prefix else name, tensor


def _tensor(module: nn.Module, path: str) -> Tensor:
    owner, _, name = path.rpartition(".")
    tensor: Tensor = getattr(module.get_submodule(owner), name)
    return tensor
