"""What a device measures: an exported module together with the tensors that it is run on."""

import copy
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from search_spaces import Architecture, Block, SearchSpace, TensorSpec
from search_spaces.onnx import OnnxNetwork, chained, feed, to_onnx
from search_spaces.progress import progress_bar

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


class UntrainedModels:
    """Blocks and networks of a space, whose weights follow from the block alone: files of theirs are the same always.

    Networks that are chains are put together from the exports of their blocks, each of which is made once: 0.2 s a
    block, where the exporter takes seconds for each network.

    Args:
        space: the space.
        batch_size: of what they are run on.
        progress: whether to show on stderr how far exports are.
    """

    def __init__(self, space: SearchSpace, batch_size: int, *, progress: bool = False) -> None:
        self._space, self._batch_size, self._progress = space, batch_size, progress
        self._known: dict[Block, Model] = {}

    def of_blocks(self, blocks: Collection[Block]) -> dict[Block, Model]:
        """Return models of blocks; those that no network asked for are exported anew in every call."""
        new = [block for block in dict.fromkeys(blocks) if block not in self._known]
        exported = dict(zip(new, block_models(new, self._batch_size, progress=self._progress), strict=True))
        return {block: exported.get(block) or self._known[block] for block in blocks}

    def of_networks(self, architectures: Sequence[Architecture]) -> list[Model]:
        """Return models of whole networks."""
        if self._space.is_chain:
            self._known |= self.of_blocks([block for one in architectures for block in self._space.plan(one).values()])
            return [self._chained(architecture) for architecture in architectures]
        models = []
        with progress_bar(len(architectures), "export", "network", show=self._progress) as bar:
            for architecture in architectures:
                network = _built(partial(self._space.build, architecture))
                models.append(network_model(self._space, architecture, network, self._batch_size))
                bar.update()
        return models

    def _chained(self, architecture: Architecture) -> Model:
        parts = {name: self._known[block] for name, block in self._space.plan(architecture).items()}
        joint = chained([onnx.load_from_string(part.content) for part in parts.values()])
        example = self._space.example(architecture, self._batch_size, _generator())
        modules = {name: copy.deepcopy(part.module) for name, part in parts.items()}  # each block reads its own weights
        network = self._space.assemble(modules)
        return Model(joint.SerializeToString(), feed(joint, example), network)


def block_models(blocks: Sequence[Block], batch_size: int, *, progress: bool = False) -> list[Model]:
    """Export each block, untrained, as networks are deployed: batch size built in, numbers of points open."""
    examples = [block.example(batch_size, _generator()) for block in blocks]
    inputs = [block.inputs for block in blocks]
    built_in = _batch_axes(itertools.chain(*inputs))
    modules = [_built(block.build) for block in blocks]
    exported = to_onnx(modules, inputs, examples, built_in, progress=progress)
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


def _built(build: Callable[[], nn.Module]) -> nn.Module:
    """Return a module whose weights are the same in every process: files named by what they hold are copied once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def _generator() -> torch.Generator:
    """Latencies are compared on the same tensors."""
    return torch.Generator().manual_seed(0)
