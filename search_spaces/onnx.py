"""The one place that exports to ONNX: many modules in one pass, and the check that each model equals its module."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnx.utils
import onnxruntime
import torch
from torch import Tensor, nn

from search_spaces.block import Shape
from search_spaces.errors import InputError

OPSET = 20
"""What the exporter of torch 2.13 writes without converting, so every model goes through one path."""

_TRACING_BATCH_SIZE = 2
"""Any size but 1, which torch.export would take for a constant, even where the axis is declared dynamic."""

_MODULES_A_CALL = 40
"""A MobileNet block takes 0.65 s alone, 0.2 s among 40, and 0.3 s among 150: the exporter is not linear."""

_EXPORTER_WARNINGS = (r".*`isinstance\(treespec, LeafSpec\)` is deprecated", r".*The axis name: \w+ will not be used")


def to_onnx(
    modules: Sequence[nn.Module], input_shapes: Sequence[tuple[Shape, ...]], *, batch_size: int | None
) -> list[onnx.ModelProto]:
    """Export each module as it behaves in eval mode; the modules are left as they were.

    One call of the exporter costs more than a block does, so the modules are exported as parallel branches of one
    module and split afterwards. The models name their inputs `input`, `input_1`, ... and their result `output`.

    Args:
        modules: modules of one tensor result each, on any device.
        input_shapes: for each module, the shapes of its float32 inputs without the batch axis.
        batch_size: the batch size to build in, or None for a batch axis of any size.

    Returns:
        One self-contained model a module, in order.
    """
    if len(modules) != len(input_shapes):
        raise InputError(f"{len(modules)} modules with {len(input_shapes)} input shapes: give one entry for each")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size {batch_size} is not a size: give 1 or more, or None for any size")
    models: list[onnx.ModelProto] = []
    for start in range(0, len(modules), _MODULES_A_CALL):
        part = slice(start, start + _MODULES_A_CALL)
        models += _export_side_by_side(modules[part], input_shapes[part], batch_size)
    return models


def parity(
    model: onnx.ModelProto | bytes,
    module: nn.Module,
    input_shapes: tuple[Shape, ...],
    *,
    batch_sizes: Sequence[int] = (1, 3),
    seed: int = 0,
) -> float:
    """Return the largest absolute difference between onnxruntime's output and the module's, on random inputs.

    A model with a batch size built in is checked at that size alone, whatever `batch_sizes` says.
    """
    content = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    baked = session.get_inputs()[0].shape[0]
    generator = torch.Generator().manual_seed(seed)
    largest = 0.0
    with _evaluating(module), torch.no_grad():
        for size in [baked] if isinstance(baked, int) else batch_sizes:
            inputs = [torch.randn(size, *shape, generator=generator) for shape in input_shapes]
            feed = {name: tensor.numpy() for name, tensor in zip(_input_names(len(inputs)), inputs, strict=True)}
            (actual,) = session.run(["output"], feed)
            expected: Tensor = module(*(tensor.to(_device_of(module)) for tensor in inputs))
            largest = max(largest, float(np.abs(actual - expected.cpu().numpy()).max(initial=0.0)))
    return largest


def _export_side_by_side(
    modules: Sequence[nn.Module], input_shapes: Sequence[tuple[Shape, ...]], batch_size: int | None
) -> list[onnx.ModelProto]:
    branches = _Branches(modules)
    with _evaluating(branches), _quiet_exporter():
        joint = _export_joint(branches, input_shapes, batch_size)
    _strip_provenance(joint)
    extractor = onnx.utils.Extractor(joint)
    return [_extract_branch(extractor, index, len(shapes)) for index, shapes in enumerate(input_shapes)]


class _Branches(nn.Module):
    """Modules side by side: the i-th consumes the i-th tuple of inputs."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(modules)

    def forward(self, *inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(branch(*tensors) for branch, tensors in zip(self.branches, inputs, strict=True))


def _export_joint(
    joint: _Branches, input_shapes: Sequence[tuple[Shape, ...]], batch_size: int | None
) -> onnx.ModelProto:
    size = batch_size or _TRACING_BATCH_SIZE
    inputs = tuple(
        tuple(torch.randn(size, *shape, device=_device_of(module)) for shape in shapes)
        for module, shapes in zip(joint.branches, input_shapes, strict=True)
    )
    batch = torch.export.Dim("batch")
    axes = (tuple(tuple({0: batch} for _ in tensors) for tensors in inputs),) if batch_size is None else None
    program = torch.onnx.export(
        joint,
        inputs,
        dynamo=True,
        opset_version=OPSET,
        input_names=[_joint_name(i, name) for i, tensors in enumerate(inputs) for name in _input_names(len(tensors))],
        output_names=[_joint_name(i, "output") for i in range(len(inputs))],
        dynamic_shapes=axes,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _extract_branch(extractor: onnx.utils.Extractor, index: int, n_inputs: int) -> onnx.ModelProto:
    """Cut one branch out of the joint model and give its values the names it would have alone."""
    names = {_joint_name(index, name): name for name in [*_input_names(n_inputs), "output"]}
    *inputs, output = names
    model = extractor.extract_model(inputs, [output])
    names |= {tensor.name: tensor.name.removeprefix(f"branches.{index}.") for tensor in model.graph.initializer}
    _rename_values(model.graph, names)
    model.graph.name = "network"
    model.producer_name = "pytorch"
    onnx.checker.check_model(model)
    return model


def _rename_values(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*graph.input, *graph.output, *graph.initializer, *graph.value_info]:
        value.name = names.get(value.name, value.name)


def _strip_provenance(message: Any) -> None:
    """Clear in a protobuf message what the exporter notes on origins: its stack traces hold paths of this machine."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                _strip_provenance(part)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Hold a module in eval mode; each of its parts returns to its own mode afterwards."""
    training = {part: part.training for part in module.modules()}
    try:
        module.eval()
        yield
    finally:
        for part, mode in training.items():
            part.training = mode


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence what the exporter says about itself on every call; what it says about a module is still heard."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in _EXPORTER_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        registration.setLevel(level)


def _joint_name(index: int, name: str) -> str:
    return f"branch_{index}_{name}"


def _input_names(n_inputs: int) -> list[str]:
    return ["input", *(f"input_{i}" for i in range(1, n_inputs))]


def _device_of(module: nn.Module) -> torch.device:
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")
