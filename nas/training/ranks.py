"""The processes that train one set of weights together, each on its share of every batch."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.distributed as dist
from torch import Tensor

from search_spaces.errors import InputError


@dataclass(frozen=True)
class Ranks:
    """One of `n` processes that take each step together, by its number; the weights of all are equal after it.

    What they do together is done by all of them in the same order, or they wait for each other in vain.
    """

    number: int = 0
    n: int = 1

    ALONE: ClassVar["Ranks"]

    @classmethod
    def here(cls) -> "Ranks":
        """Return this process's, by torch's default process group; alone without one."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls.ALONE

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and shows progress."""
        return self.number == 0

    def share(self, n_examples: int) -> slice:
        """Return which examples of a batch are this rank's: as many as any other's, or one more or less."""
        return slice(*(n_examples * number // self.n for number in (self.number, self.number + 1)))

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up a tensor over all ranks, in place, to the same bits on each."""
        if self.n > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the tensors (...) of all ranks as (ranks, ...), in their order."""
        if self.n == 1:
            return tensor[None]
        gathered = [torch.empty_like(tensor) for _ in range(self.n)]
        dist.all_gather(gathered, tensor)
        return torch.stack(gathered)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add up the gradients of those parameters that have one; on every rank they are the same parameters."""
        if self.n == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        joined = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, summed in zip(gradients, torch.split(joined, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def tell(self, fact: bool) -> bool:
        """Return what the first rank says."""
        if self.n == 1:
            return fact
        told = [fact]
        dist.broadcast_object_list(told)
        return told[0]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Do something on the first rank, and after that on the others."""
        if self.n > 1 and not self.is_first:
            dist.barrier()
        yield
        if self.n > 1 and self.is_first:
            dist.barrier()


Ranks.ALONE = Ranks()


@contextmanager
def joined(device: torch.device, rendezvous: str = "env://") -> Iterator[Ranks]:
    """Meet the other ranks that were started, if any, by the variables that torchrun sets; part from them at the end.

    Args:
        device: what they train on: NCCL connects graphics cards, gloo processors.
        rendezvous: where they meet; unless it is said, at torchrun's MASTER_ADDR.

    Raises:
        InputError: they are more than there are graphics cards here.
    """
    number, n, local = (int(os.environ.get(name, 0)) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if n < 2:
        yield Ranks.ALONE
        return
    if device.type == "cuda":
        require_cards(local + 1)
        torch.cuda.set_device(local)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, rendezvous, rank=number, world_size=n)
    try:
        yield Ranks(number, n)
    finally:
        dist.destroy_process_group()


def require_cards(n: int) -> None:
    """Raise unless there is a graphics card for each of n ranks.

    Raises:
        InputError: there is not.
    """
    if torch.cuda.device_count() < n:
        raise InputError(
            f"{n} ranks train on {n} GPUs, torch finds {torch.cuda.device_count()} here: say fewer ranks, or device cpu"
        )
