"""What a network costs on any device: multiply-adds, parameters, and peak memory of activations."""

import weakref
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from latency_predictors.cost_model import BlockCost
from search_spaces import Block, SearchSpace
from search_spaces.errors import InputError

_ATEN = torch.ops.aten

# torch counts attention by any kernel but the one of processors, whose shapes mean the same
FLOPS = ChainMap(  # not a copy: operators of the project's own come to the registry with their modules
    {_ATEN._scaled_dot_product_flash_attention_for_cpu: flop_registry[_ATEN._scaled_dot_product_efficient_attention]},
    flop_registry,
)

COUNTS = ("macs", "n_parameters", "peak_activation_bytes")


@dataclass(frozen=True)
class Counts:
    """Of one block, for a batch of one in float32."""

    macs: int
    n_parameters: int
    peak_activation_bytes: int


@lru_cache(maxsize=1 << 16)
def count(block: Block) -> Counts:
    """Return a block's counts, from a run of its module on tensors without storage.

    Not on the meta device, where batch normalisation returns statistics that on a processor it does not.
    """
    with FakeTensorMode():
        return count_module(block.build(), *empty_inputs(block))


def count_network(space: SearchSpace, architecture: Mapping[str, Any], network: nn.Module) -> Counts:
    """Return the counts of an architecture's static network, which is left in evaluation mode."""
    return count_module(network, *space.example(architecture, 1, torch.Generator().manual_seed(0)))


def empty_inputs(block: Block) -> list[Tensor]:
    """Return tensors of the sizes that a block's module takes for a batch of one, of whatever content."""
    return [torch.empty(spec.sizes(1), dtype=spec.torch_dtype) for spec in block.inputs]


def count_module(module: nn.Module, *inputs: Tensor) -> Counts:
    """Return the counts of a forward pass in evaluation mode, operation by operation as torch runs it.

    A runtime that fuses operations needs less memory. The inputs, which the caller holds, are counted throughout.
    """
    module.eval()
    with torch.no_grad(), _Trace(module, inputs) as trace:
        module(*inputs)
    return Counts(trace.flops // 2, sum(p.numel() for p in module.parameters()), trace.peak_bytes)


class _Trace(TorchDispatchMode):
    """Adds up the operations' flops, and the bytes of the tensors that they return for as long as each is alive."""

    def __init__(self, module: nn.Module, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self.peak_bytes = 0
        weights = (*module.parameters(), *module.buffers())  # an operation may return a view of one: not an activation
        self._live = {weight.untyped_storage()._cdata: 0 for weight in weights}
        self._track(inputs)

    def _track(self, tensors: Any) -> None:
        for tensor in tree_iter(tensors):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._live:
                    self._live[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self._live.pop, storage._cdata, None)
        self.peak_bytes = max(self.peak_bytes, sum(self._live.values()))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket in FLOPS:
            self.flops += FLOPS[func.overloadpacket](*args, **(kwargs or {}), out_val=output)
        self._track(output)
        return output


def require_countable(name: str, space: SearchSpace) -> None:
    """Raise unless a count of `count_models` is exact for a space's networks.

    Raises:
        InputError: it is the peak memory of networks that are no chains of blocks.
    """
    if name == "peak_activation_bytes" and not space.is_chain:
        raise InputError(
            f"{name} of {space.name}: its networks are no chains of blocks and hold several tensors at a time, of "
            f"which only a lower bound is known; take another cost, such as {COUNTS[0]}"
        )


def count_models(space: SearchSpace) -> dict[str, BlockCost]:
    """Return the counts of a space's networks as cost models, by metric.

    `macs` and `n_parameters` add up over blocks; `peak_activation_bytes` is the largest block's, which holds for
    chains of blocks: a caller that keeps the network's input while later blocks run needs so much more. Where a space
    wires its blocks otherwise, a network may hold several outputs at a time, and this is a lower bound, which
    `require_countable` refuses.
    """
    counts = [count(block) for block in space.index.blocks]
    return {
        "macs": BlockCost(space, "macs", np.array([c.macs for c in counts], float)),
        "n_parameters": BlockCost(space, "n_parameters", np.array([c.n_parameters for c in counts], float)),
        "peak_activation_bytes": BlockCost(
            space, "peak_activation_bytes", np.array([c.peak_activation_bytes for c in counts], float), combine="max"
        ),
    }
