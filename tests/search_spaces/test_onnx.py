"""Exported models compute what their modules do, alone or many at once, and say nothing about the machine."""

import math
import os
import warnings

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from search_spaces import TensorSpec
from search_spaces import onnx as onnx_module
from search_spaces.errors import InputError
from search_spaces.onnx import OPSET, feed, parity, to_onnx

TOLERANCE = 1e-5


class Residual(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.Hardswish()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.act(self.norm(self.conv(x)))
        return result


class Prefix(nn.Module):
    """Computes with its batch size: puts a learned token before those it gets."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.token.expand(x.shape[0], 1, -1), x), 1)


class Mix(nn.Module):
    """Two inputs and no parameter: a cell's edge, or a block fed by a skip connection."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a.flatten(1) @ torch.ones(12, 5) - b


Shapes = tuple[tuple[int, ...], ...]


def specs(shapes: Shapes) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(shape, "input" if i == 0 else f"input_{i}") for i, shape in enumerate(shapes))


def examples(shapes: Shapes, *batch_sizes: int, seed: int = 0) -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(seed)
    return [tuple(spec.draw(size, generator) for spec in specs(shapes)) for size in batch_sizes]


def export(modules: list[nn.Module], shapes: list[Shapes], batch_size: int = 2, built_in: tuple[str, ...] = ()):
    traced = [examples(some, batch_size)[0] for some in shapes]
    return to_onnx(modules, [specs(some) for some in shapes], traced, built_in)


def _modules() -> tuple[list[nn.Module], list[Shapes]]:
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 7))
    modules = [Residual(4, 3), Residual(6, 5), Mix(), head, nn.Identity(), nn.LayerNorm(9), Prefix(3), Prefix(5)]
    for module in modules:
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.running_mean, -1, 1)
                nn.init.uniform_(part.running_var, 0.5, 2)
    return modules, [((4, 8, 8),), ((6, 5, 5),), ((3, 4), (5,)), ((4, 6, 6),), ((2, 3),), ((9,),), ((2, 3),), ((2, 5),)]


@pytest.fixture(scope="module")
def exported() -> tuple[list[nn.Module], list[Shapes], list[onnx.ModelProto]]:
    modules, shapes = _modules()
    return modules, shapes, export(modules, shapes)


def test_split_models_equal_their_modules_at_several_batch_sizes(exported) -> None:
    for module, shapes, model in zip(*exported, strict=True):
        assert parity(model, module, examples(shapes, 1, 3)) < TOLERANCE


def test_names_opset_and_dynamic_axis(exported) -> None:
    models = exported[2]
    for model in models:
        onnx.checker.check_model(model, full_check=True)
        assert [entry.version for entry in model.opset_import if entry.domain == ""] == [OPSET]
        assert [value.name for value in model.graph.output] == ["output"]
        ends = [*model.graph.input, *model.graph.output]
        assert {value.type.tensor_type.shape.dim[0].dim_param for value in ends} == {"batch"}
    assert [value.name for value in models[2].graph.input] == ["input", "input_1"]
    assert {tensor.name for tensor in models[3].graph.initializer} >= {"3.weight", "3.bias"}


def test_nothing_of_this_machine_is_in_the_bytes(exported) -> None:
    for model in exported[2]:
        content = model.SerializeToString()
        for word in [os.getcwd(), os.path.dirname(torch.__file__), "test_onnx", "stack_trace", "File "]:
            assert word.encode() not in content


def test_weights_are_inside(exported) -> None:
    for model in exported[2]:
        assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_modules_in_training_mode_give_the_eval_graph_and_keep_their_modes() -> None:
    module = nn.Sequential(Residual(4, 3), nn.Dropout(0.9), nn.BatchNorm2d(4)).train()
    module[2].eval()
    statistics = module[0].norm.running_mean.clone()
    (model,) = export([module], [((4, 6, 6),)])
    assert parity(model, module, examples(((4, 6, 6),), 1, 3)) < TOLERANCE
    assert [part.training for part in module] == [True, True, False]
    assert torch.equal(module[0].norm.running_mean, statistics)


def test_batch_size_can_be_built_in() -> None:
    module = Residual(3, 3)
    (model,) = export([module], [((3, 5, 5),)], built_in=("batch",))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [2, 3, 5, 5]
    assert parity(model.SerializeToString(), module, examples(((3, 5, 5),), 2)) < TOLERANCE


def test_parity_sees_a_difference(exported) -> None:
    modules, shapes, models = exported
    other = Residual(4, 3)
    assert parity(models[0], other, examples(shapes[0], 1, 3)) > 100 * TOLERANCE
    assert parity(models[0], modules[0], examples(shapes[0], 4, seed=1)) < TOLERANCE


def test_parity_does_not_hide_what_is_no_number() -> None:
    shapes, module = ((4, 6, 6),), Residual(4, 3)
    (model,) = export([module], [shapes])
    broken = Residual(4, 3)
    nn.init.constant_(broken.conv.weight, math.nan)
    assert math.isnan(parity(model, broken, examples(shapes, 1)))


def test_one_module_given_twice_is_exported_twice() -> None:
    module = Residual(4, 3)
    models = export([module, module], [((4, 6, 6),), ((4, 9, 9),)], 1, built_in=("batch",))
    assert parity(models[0], module, examples(((4, 6, 6),), 1)) < TOLERANCE
    assert parity(models[1], module, examples(((4, 9, 9),), 1)) < TOLERANCE


def test_many_modules_take_several_calls_and_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_module, "_MODULES_A_CALL", 2)
    modules = [nn.Linear(3, n) for n in (1, 2, 4)]
    models = export(modules, [((3,),)] * 3)
    for module, model in zip(modules, models, strict=True):
        assert parity(model, module, examples(((3,),), 1, 3)) < TOLERANCE


def test_export_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export([nn.Linear(3, 2)], [((3,),)])
    assert capfd.readouterr() == ("", "")


def test_nothing_to_export() -> None:
    assert to_onnx([], [], []) == []


def test_bad_arguments_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match="1 modules, 0 inputs, 0 examples"):
        to_onnx([nn.Identity()], [], [])


class Gather(nn.Module):
    """Rows by index: two inputs whose leading axes differ."""

    def forward(self, rows: Tensor, index: Tensor) -> Tensor:
        return rows[index].sum(1)


def test_axes_of_other_names_have_sizes_of_their_own() -> None:
    taken = (TensorSpec((5,), "rows", "voxels", 7), TensorSpec((3,), "index", "points", 4, "int64", below=7))
    generator = torch.Generator().manual_seed(0)
    drawn = [tuple(spec.draw(size, generator) for spec in taken) for size in (1, 2)]
    assert [tuple(x.shape) for x in drawn[1]] == [(14, 5), (8, 3)]
    (model,) = to_onnx([Gather()], [taken], drawn[:1])
    assert parity(model, Gather(), drawn) < TOLERANCE
    assert set(feed(model, drawn[0])) == {"rows", "index"}
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input] == ["voxels", "points"]
