"""What is measured has the form that is deployed."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import onnx
import pytest

import search_spaces
from latency_predictors.model import Model, UntrainedModels, block_models, network_model
from search_spaces.block import TensorSpec
from search_spaces.onnx import OPSET, OnnxNetwork


def check_form(model: Model, inputs: tuple[TensorSpec, ...]) -> None:
    """Check that sizes are built in where they are the batch's, and open where they are those of a scene."""
    (*values,) = onnx.load_from_string(model.content).graph.input
    leading = {value.name: value.type.tensor_type.shape.dim[0] for value in values}
    assert leading.keys() == {spec.name for spec in inputs}
    for spec in inputs:
        assert leading[spec.name].dim_param == (spec.axis if spec.rows > 1 else ""), spec
        assert len(model.feed[spec.name]) == spec.rows


def test_blocks_of_images_have_the_batch_size_built_in() -> None:
    space = search_spaces.load("autoformer_32")
    blocks = list(space.plan(space.smallest()).values())[:2]
    for block, model in zip(blocks, block_models(blocks, 1), strict=True):
        check_form(model, block.inputs)


def test_blocks_and_networks_of_points_have_open_numbers_of_rows() -> None:
    rows = {"n_voxels": (50, 40, 30, 20, 10), "n_pairs": (60, 50, 40, 30, 20), "n_corners": (90,) * 5}
    space = search_spaces.load("spvnas_small", n_points=60, **rows)
    plan = space.plan(space.smallest())
    blocks = [plan["voxelise"], plan["stem1"], plan["down1_transition"]]
    for block, model in zip(blocks, block_models(blocks, 1), strict=True):
        check_form(model, block.inputs)
    architecture = space.smallest()
    check_form(network_model(space, architecture, space.build(architecture), 1), space.inputs(architecture))


@pytest.mark.parametrize("name", ["mobilenet_v3_32", pytest.param("autoformer_32", marks=pytest.mark.slow)])
def test_a_chain_of_exported_blocks_is_the_network_as_the_exporter_writes_it(name: str) -> None:
    space = search_spaces.load(name)
    smallest = space.smallest()
    (model,) = UntrainedModels(space, 1).of_networks([smallest])
    check_form(model, space.inputs(smallest))
    assert OnnxNetwork(model.content)(*model.tensors()).numpy() == pytest.approx(model.expected(), abs=1e-5)
    joint, whole = (
        onnx.load_from_string(content)
        for content in (model.content, network_model(space, smallest, space.build(smallest), 1).content)
    )
    for part in (joint, whole):
        assert [value.name for value in part.graph.output] == ["output"]
        assert [(opset.domain, opset.version) for opset in part.opset_import] == [("", OPSET)]
    assert operations(joint) == operations(whole)


def test_equal_blocks_of_a_chain_have_weights_each(toy: Callable[..., Any]) -> None:
    space = toy(widths=(16,))
    (model,) = UntrainedModels(space, 1).of_networks([space.largest()])
    assert len({*map(repr, space.plan(space.largest()).values())}) < len(space.plan(space.largest()))
    assert sum(p.numel() for p in model.module.parameters()) == sum(
        p.numel() for p in space.build(space.largest()).parameters()
    ), "torch counts weights that are shared once"


def test_untrained_models_are_the_same_whatever_was_asked_for_before(toy: Callable[..., Any]) -> None:
    space = toy()
    one, other = UntrainedModels(space, 1), UntrainedModels(space, 1)
    both = one.of_networks([space.smallest(), space.largest()])
    assert both[1].content == other.of_networks([space.largest()])[0].content
    (first, *_) = space.plan(space.smallest()).values()
    assert one.of_blocks([first])[first].content == UntrainedModels(space, 1).of_blocks([first])[first].content


def operations(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)
