"""What a device measures: an exported module together with the tensors that it is run on."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import nn

from search_spaces import Block, SearchSpace, TensorSpec
from search_spaces.onnx import OnnxNetwork, feed, to_onnx

if TYPE_CHECKING:
    from latency_predictors.device import Device


@dataclass(frozen=True, eq=False)
class Model:
    """A network in the forms that runtimes take, and what it is run on.

    Attributes:
        content: the serialised ONNX model.
        feed: arrays for its inputs by name, in the order in which the module takes them, of the batch size to measure.
        module: what it was exported from, to check outputs against.
    """

    content: bytes
    feed: Mapping[str, NDArray[Any]]
    module: nn.Module

    def expected(self) -> NDArray[Any]:
        """Return the output that torch computes from the feed, in float32."""
        self.module.eval()
        with torch.inference_mode():
            output: torch.Tensor = self.module(*self.tensors())
        return output.numpy()

    def tensors(self) -> list[torch.Tensor]:
        """Return the feed as the module takes it."""
        return [torch.from_numpy(array) for array in self.feed.values()]


def block_models(blocks: Sequence[Block], batch_size: int) -> list[Model]:
    """Export each block, freshly built, as networks are deployed: batch size built in, numbers of points open."""
    examples = [block.example(batch_size, _generator()) for block in blocks]
    inputs = [block.inputs for block in blocks]
    built_in = _batch_axes(itertools.chain(*inputs))
    modules = [block.build() for block in blocks]
    exported = to_onnx(modules, inputs, examples, built_in)
    return [
        Model(model.SerializeToString(), feed(model, example), module)
        for model, example, module in zip(exported, examples, modules, strict=True)
    ]


def network_model(space: SearchSpace, architecture: Mapping[str, Any], network: nn.Module, batch_size: int) -> Model:
    """Export an architecture's network in the same form."""
    example = space.example(architecture, batch_size, _generator())
    inputs = space.inputs(architecture)
    (model,) = to_onnx([network], [inputs], [example], _batch_axes(inputs))
    return Model(model.SerializeToString(), feed(model, example), network)


def exported_model(
    space: SearchSpace, architecture: Mapping[str, Any], network: nn.Module, content: bytes, device: "Device"
) -> Model:
    """Return a network that is exported already, with open axes, to be measured on a device.

    One in int8 is checked against itself under onnxruntime here: its ranges are those of data, which examples leave.
    """
    example = space.example(architecture, device.batch_size, _generator())
    module = network if device.precision == "float32" else OnnxNetwork(content)
    return Model(content, feed(content, example), module)


def _batch_axes(inputs: Iterable[TensorSpec]) -> set[str]:
    """Return the axes whose size is the batch size, which is known when a network is deployed.

    A number of points is not, and that form takes longer: 6 % for a sparse network.
    """
    return {spec.axis for spec in inputs if spec.rows == 1}


def _generator() -> torch.Generator:
    """Latencies are compared on the same tensors."""
    return torch.Generator().manual_seed(0)
