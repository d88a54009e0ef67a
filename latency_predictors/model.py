"""What a device measures: an exported module together with the tensors that it is run on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from search_spaces import Block, SearchSpace
from search_spaces.onnx import feed, to_onnx


@dataclass(frozen=True, eq=False)
class Model:
    """A serialised ONNX model, and arrays for its inputs by name, of the batch size to measure."""

    content: bytes
    feed: Mapping[str, NDArray[Any]]


def block_models(blocks: Sequence[Block], batch_size: int) -> list[Model]:
    """Export each block, freshly built, with the batch size built in."""
    examples = [block.example(batch_size, _generator()) for block in blocks]
    inputs = [block.inputs for block in blocks]
    exported = to_onnx([block.build() for block in blocks], inputs, examples, open_axes=False)
    return [
        Model(model.SerializeToString(), feed(model, example))
        for model, example in zip(exported, examples, strict=True)
    ]


def network_model(space: SearchSpace, architecture: Mapping[str, Any], network: nn.Module, batch_size: int) -> Model:
    """Export an architecture's network with the batch size built in."""
    example = space.example(architecture, batch_size, _generator())
    (model,) = to_onnx([network], [space.inputs(architecture)], [example], open_axes=False)
    return Model(model.SerializeToString(), feed(model, example))


def loaded_model(space: SearchSpace, architecture: Mapping[str, Any], content: bytes, batch_size: int) -> Model:
    """Return an exported network with open axes, to be measured at a batch size."""
    return Model(content, feed(content, space.example(architecture, batch_size, _generator())))


def _generator() -> torch.Generator:
    """Latencies are compared on the same tensors."""
    return torch.Generator().manual_seed(0)
