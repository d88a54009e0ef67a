"""The one place that exports to ONNX: many modules in one pass, and the check that each model equals its module."""

import itertools
import logging
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnx.helper
import onnx.utils
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.block import TensorSpec
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar

OPSET = 20
"""What the exporter of torch 2.13 writes without converting, so every model goes through one path."""

Inputs = tuple[TensorSpec, ...]
"""The tensors that one module takes."""

Example = tuple[Tensor, ...]
"""Tensors that one module is run on."""

_MODULES_A_CALL = 40
"""A MobileNet block takes 0.65 s alone, 0.2 s among 40, and 0.3 s among 150: the exporter is not linear."""

_EXPORTER_WARNINGS = (r".*`isinstance\(treespec, LeafSpec\)` is deprecated", r".*The axis name: \w+ will not be used")


def to_onnx(
    modules: Sequence[nn.Module],
    inputs: Sequence[Inputs],
    examples: Sequence[Example],
    built_in: Collection[str] = (),
    *,
    progress: bool = False,
) -> list[onnx.ModelProto]:
    """Export each module as it behaves in eval mode; the modules are left as they were.

    One call of the exporter costs more than a block does, so the modules are exported as parallel branches of one
    module and split afterwards. The models name their inputs as the specs do, and their result `output`.

    Args:
        modules: modules of one tensor result each, on any device.
        inputs: for each module, what it takes.
        examples: for each module, tensors to trace it with.
        built_in: names of leading axes whose size is the examples' for ever. Others may have any size, those of one
            name the same; give examples of them with more than one row: torch.export takes a 1 for a constant.
        progress: whether to show on stderr how far the export is.

    Returns:
        One self-contained model a module, in order.
    """
    if not len(modules) == len(inputs) == len(examples):
        raise InputError(f"{len(modules)} modules, {len(inputs)} inputs, {len(examples)} examples: give one each")
    models: list[onnx.ModelProto] = []
    with progress_bar(len(modules), "export", "module", show=progress and len(modules) > 0) as bar:
        for start in range(0, len(modules), _MODULES_A_CALL):
            part = slice(start, start + _MODULES_A_CALL)
            models += _export_side_by_side(modules[part], inputs[part], examples[part], built_in)
            bar.update(len(models) - start)
    return models


def chained(models: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """Return models of `to_onnx` as one, in which each takes what the one before it returns."""
    parts = [onnx.compose.add_prefix(model, f"{number}.") for number, model in enumerate(models)]
    for before, part in itertools.pairwise(parts):
        _rename_values(part.graph, {part.graph.input[0].name: before.graph.output[0].name})
    graph = onnx.helper.make_graph(
        [node for part in parts for node in part.graph.node],
        "network",
        parts[0].graph.input,
        parts[-1].graph.output,
        [weights for part in parts for weights in part.graph.initializer],
        value_info=[value for part in parts for value in part.graph.value_info],
    )
    ends = {value.name: value.name.removeprefix("0.") for value in graph.input}
    _rename_values(graph, ends | {graph.output[0].name: "output"})
    imported = {opset.domain: opset for part in parts for opset in part.opset_import}
    joint = onnx.helper.make_model(
        graph,
        opset_imports=list(imported.values()),
        functions=[function for part in parts for function in part.functions],
        ir_version=parts[0].ir_version,
        producer_name="pytorch",
    )
    onnx.checker.check_model(joint)
    return joint


def feed(model: onnx.ModelProto | bytes, example: Example) -> dict[str, NDArray[Any]]:
    """Return an example's tensors as arrays, by the names that the model gives its inputs."""
    proto = onnx.load_from_string(model) if isinstance(model, bytes) else model
    return _by_name([value.name for value in proto.graph.input], example)


def _by_name(names: Sequence[str], example: Example) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in zip(names, example, strict=True)}


class OnnxNetwork(nn.Module):
    """An exported model under onnxruntime on the processor, to be called as the module that it was exported from."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        self._names = [value.name for value in self._session.get_inputs()]

    def forward(self, *inputs: Tensor) -> Tensor:
        (output,) = self._session.run(["output"], _by_name(self._names, inputs))
        return torch.from_numpy(output)


def parity(model: onnx.ModelProto | bytes, module: nn.Module, examples: Sequence[Example]) -> float:
    """Return the largest absolute difference between onnxruntime's output and the module's, over all examples."""
    network = OnnxNetwork(model if isinstance(model, bytes) else model.SerializeToString())
    largest = 0.0
    with _evaluating(module), torch.no_grad():
        for example in examples:
            expected: Tensor = module(*(tensor.to(device_of(module)) for tensor in example))
            difference = np.abs(network(*example).numpy() - expected.cpu().numpy()).max(initial=0.0)
            largest = float(np.maximum(largest, difference))  # unlike `max`, this keeps a NaN
    return largest


def _export_side_by_side(
    modules: Sequence[nn.Module], inputs: Sequence[Inputs], examples: Sequence[Example], built_in: Collection[str]
) -> list[onnx.ModelProto]:
    branches = _Branches(modules)
    with _evaluating(branches), _quiet_exporter():
        joint = _export_joint(branches, inputs, examples, built_in)
    _strip_provenance(joint)
    extractor = onnx.utils.Extractor(joint)
    return [_extract_branch(extractor, index, specs) for index, specs in enumerate(inputs)]


class _Branches(nn.Module):
    """Modules side by side: the i-th consumes the i-th tuple of inputs."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(modules)

    def forward(self, *inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(branch(*tensors) for branch, tensors in zip(self.branches, inputs, strict=True))


def _export_joint(
    joint: _Branches, inputs: Sequence[Inputs], examples: Sequence[Example], built_in: Collection[str]
) -> onnx.ModelProto:
    from search_spaces.sparse import onnx_form  # brings onnxscript, for which only an export need wait

    tensors = tuple(
        tuple(tensor.to(device_of(module)) for tensor in example)
        for module, example in zip(joint.branches, examples, strict=True)
    )
    # an axis of its own for each branch, which would else read its size from another's input
    opened = [(i, spec.axis) for i, specs in enumerate(inputs) for spec in specs if spec.axis not in built_in]
    dims = {axis: torch.export.Dim(_joint_name(*axis)) for axis in opened}
    axes = tuple(
        tuple({0: dims[i, spec.axis]} if (i, spec.axis) in dims else None for spec in specs)
        for i, specs in enumerate(inputs)
    )
    program = torch.onnx.export(
        joint,
        tensors,
        dynamo=True,
        opset_version=OPSET,
        input_names=[_joint_name(i, spec.name) for i, specs in enumerate(inputs) for spec in specs],
        output_names=[_joint_name(i, "output") for i in range(len(inputs))],
        dynamic_shapes=(axes,) if dims else None,
        custom_translation_table=onnx_form.TRANSLATIONS,
        verbose=False,
    )
    assert program is not None
    model: onnx.ModelProto = program.model_proto  # made anew at every access
    onnx_form.define(model)
    return model


def _extract_branch(extractor: onnx.utils.Extractor, index: int, specs: Inputs) -> onnx.ModelProto:
    """Cut one branch out of the joint model and give its values the names it has whatever stands beside it."""
    names = {_joint_name(index, name): name for name in [*(spec.name for spec in specs), "output"]}
    *inputs, output = names
    model = extractor.extract_model(inputs, [output])
    _rename_values(model.graph, _own_names(model.graph, f"branches.{index}.") | names)
    _rename_axes(model.graph, _joint_name(index, ""))
    model.graph.name = "network"
    model.producer_name = "pytorch"
    onnx.checker.check_model(model)
    return model


def _own_names(graph: onnx.GraphProto, prefix: str) -> dict[str, str]:
    """Name nodes in their order, and return such names of their results and of constants; weights keep theirs."""
    names = {}
    for number, constant in enumerate(graph.initializer):
        is_weight = constant.name.startswith(prefix)
        names[constant.name] = constant.name.removeprefix(prefix) if is_weight else f"constant_{number}"
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type.lower()}_{number}"
        names |= {name: f"{node.name}_{place}" for place, name in enumerate(node.output) if name}
    return names


def _rename_values(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*graph.input, *graph.output, *graph.initializer, *graph.value_info]:
        value.name = names.get(value.name, value.name)


def _rename_axes(graph: onnx.GraphProto, prefix: str) -> None:
    for value in [*graph.input, *graph.output, *graph.value_info]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = dim.dim_param.replace(prefix, "")


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


def device_of(module: nn.Module) -> torch.device:
    """Return where a module takes its inputs: the processor, if it has no tensors of its own."""
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")
