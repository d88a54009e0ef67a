"""A block: the frozen record of one layer of a network, the module it builds, and which part of a larger one it is."""

import dataclasses
from abc import ABC, abstractmethod
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from search_spaces.errors import InputError

Shape = tuple[int, ...]
"""The sizes of one tensor behind its leading axis, such as (channels, height, width)."""

Plan = dict[str, "Block"]
"""A network's blocks by name, in the order in which they run."""


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One tensor that goes into a block or comes out of it.

    Attributes:
        shape: its sizes behind the leading axis.
        name: what an exported model calls it.
        axis: name of the leading axis: within one network, axes of one name have one size.
        rows: size of the leading axis for a batch of one: 1 for an image, the voxels of a sparse frame.
        dtype: number format.
        below: for indices, the number below which they lie.
    """

    shape: Shape
    name: str = "input"
    axis: str = "batch"
    rows: int = 1
    dtype: Literal["float32", "int64"] = "float32"
    below: int | None = None

    @property
    def torch_dtype(self) -> torch.dtype:
        """The number format as torch has it."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def n_bytes(self) -> int:
        """Size in memory for a batch of one."""
        return self.rows * prod(self.shape) * self.torch_dtype.itemsize

    def sizes(self, batch_size: int) -> Shape:
        """Return all sizes of the tensor, the leading axis among them."""
        return (self.rows * batch_size, *self.shape)

    def draw(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Return a random tensor of this form: normal, or indices that are all equally likely."""
        if self.dtype == "float32":
            return torch.randn(self.sizes(batch_size), generator=generator)
        assert self.below is not None, f"{self.name} holds indices: say below what number"
        return torch.randint(self.below, self.sizes(batch_size), generator=generator)


@dataclasses.dataclass(frozen=True)
class Block(ABC):
    """All that decides what a layer computes and costs: equal blocks are interchangeable, up to their weights.

    A subclass is a frozen dataclass whose fields are plain values; its `repr` is its key in latency tables.
    """

    @property
    @abstractmethod
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors that the module's `forward` takes."""

    @property
    @abstractmethod
    def output(self) -> TensorSpec:
        """The tensor that the module's `forward` returns."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Return a fresh module of this block's sizes."""

    def example(self, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return tensors that the module's `forward` may get, as costly to compute with as real ones."""
        return tuple(spec.draw(batch_size, generator) for spec in self.inputs)

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

    @property
    def growing(self) -> tuple[str, ...]:
        """The fields that may be larger in a block that computes what this one does, with weights by `widen`."""
        return ()

    def widen(self, small: Tensor, fresh: Tensor, name: str, owner: nn.Module) -> None:
        """Put a tensor of this block into that of a larger block, such that outputs that both have stay the same.

        The part that `narrow` returns becomes this block's tensor. What else would reach an output that this block has,
        from new inputs or from around the centre of a kernel, is zero; new outputs keep their fresh values.

        Args:
            small: a parameter or buffer of this block.
            fresh: that of the larger block, freshly initialised; changed in place.
            name: their name.
            owner: the submodule of the larger block's module that holds it directly.
        """
        if small.ndim:
            dim = self.output_dim(owner)
            fresh.narrow(dim, 0, small.shape[dim]).zero_()
        self.narrow(fresh, name, small, owner).copy_(small)

    def overlap(self, other: Tensor, fresh: Tensor, name: str, owner: nn.Module) -> None:
        """Put what a tensor of another block of this type has in common with this block's own into it.

        Args:
            other: a parameter or buffer of the other block, smaller or larger.
            fresh: that of this block, changed in place.
            name: their name.
            owner: the submodule of this block's module that holds it directly.
        """
        common = torch.empty([min(n, m) for n, m in zip(other.shape, fresh.shape, strict=True)], device="meta")
        self.narrow(fresh, name, common, owner).copy_(self.narrow(other, name, common, owner))

    def output_dim(self, owner: nn.Module) -> int:
        """Return the dimension of a submodule's tensors along which its outputs are, as torch lays weights out.

        Along the others a tensor reads inputs, or is a kernel: networks that are mixed are masked there.
        """
        return 0

    def silence(self, module: nn.Module) -> None:
        """Set parameters of a fresh module, in place, so that a network into which it is put computes what it did.

        Raises:
            InputError: nothing that this block has makes it add nothing.
        """
        raise InputError(f"{self} is not added to what goes past it: no weights make a network ignore it")
