"""A block: the frozen record of one layer of a network, the module it builds, and which part of a larger one it is."""

import dataclasses
from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

Shape = tuple[int, ...]
"""The sizes of one tensor without its batch axis, such as (channels, height, width)."""

Plan = dict[str, "Block"]
"""A network's blocks by name, in the order in which they run."""


@dataclasses.dataclass(frozen=True)
class Block(ABC):
    """All that decides what a layer computes and costs: equal blocks are interchangeable, up to their weights.

    A subclass is a frozen dataclass whose fields are plain values; its `repr` is its key in latency tables.
    """

    @property
    @abstractmethod
    def input_shapes(self) -> tuple[Shape, ...]:
        """The shapes of the tensors that the module's `forward` takes."""

    @property
    @abstractmethod
    def output_shape(self) -> Shape:
        """The shape of the tensor that the module's `forward` returns."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Return a fresh module of this block's sizes."""

    def narrow(self, large: Tensor, name: str, like: Tensor, owner: nn.Module) -> Tensor:
        """Return the part of a larger block's tensor that this block uses, as a view.

        The rule of every block that does not override it: the leading slice along each dimension, and the centre
        crop along the spatial dimensions of a convolution's kernel.

        Args:
            large: a parameter or buffer of the larger block.
            name: its name in the block's module.
            like: the tensor of that name in this block's own module, for its shape.
            owner: the submodule of this block's module that holds it directly.
        """
        first_centred = 2 if isinstance(owner, _ConvNd) else like.ndim
        for dim, size in enumerate(like.shape):
            extra = large.shape[dim] - size
            if extra:
                large = large.narrow(dim, extra // 2 if dim >= first_centred else 0, size)
        return large
