"""Point-voxel blocks compute what their paper says, cloud by cloud and point by point."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.block import Block
from search_spaces.blocks import pvcnn
from search_spaces.blocks.pvcnn import (
    CloudClassifier,
    CloudFeatures,
    CloudMix,
    PointClassifier,
    PointMix,
    PointMLP,
    PointVoxelConv,
    in_grid,
)
from search_spaces.onnx import parity, to_onnx

BLOCKS: list[Block] = [
    PointVoxelConv(30, 5, 16, 4, False),
    PointVoxelConv(30, 5, 16, 4, True),
    PointMLP(30, 5, 7),
    CloudFeatures(30, 5, ()),
    CloudFeatures(30, 5, (6, 7)),
    CloudClassifier(30, 5, (6,), 0.3, 4),
    CloudMix(30, 5, 6),
    PointMix(30, 5, 6),
    PointClassifier(30, 5, (6, 7), (0.3, 0.0, 0.1), 4),
]


def inputs(block: Block, batch_size: int = 2) -> tuple[Tensor, ...]:
    return block.example(batch_size, torch.Generator().manual_seed(0))


def built(block: Block) -> nn.Module:
    torch.manual_seed(0)
    return block.build().eval()


@pytest.mark.parametrize("block", BLOCKS, ids=repr)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_shapes_are_as_planned_and_training_works(block: Block, batch_size: int) -> None:
    tensors = inputs(block, batch_size)
    assert [(x.shape, x.dtype) for x in tensors] == [(s.sizes(batch_size), s.torch_dtype) for s in block.inputs]
    module = block.build().train()
    output = module(*tensors)
    assert output.shape == block.output.sizes(batch_size)
    parameters = list(module.parameters())
    if parameters:
        output.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)


@pytest.mark.parametrize("block", BLOCKS, ids=repr)
def test_clouds_do_not_mix(block: Block) -> None:
    """Each of three clouds gives the same alone: but for rounding, as convolutions are computed in other orders."""
    module, tensors = built(block), inputs(block, 3)
    with torch.no_grad():
        together = module(*tensors).chunk(3)
        for number, expected in enumerate(together):
            alone = [
                x.new_zeros(30) if spec.name == "cloud" else x.chunk(3)[number]
                for spec, x in zip(block.inputs, tensors, strict=True)
            ]
            torch.testing.assert_close(module(*alone), expected, atol=1e-5, rtol=1e-5)


def test_points_may_come_in_any_order() -> None:
    block = BLOCKS[0]
    module, (features, coordinates, cloud, cube) = built(block), inputs(block, 1)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module(features, coordinates, cloud, cube)[order]
        torch.testing.assert_close(module(features[order], coordinates[order], cloud, cube), expected)


def test_the_grid_spans_the_cube() -> None:
    cube = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]])
    coordinates = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 1.0], [3.0, 4.0, 5.0], [0.0, 0.25, 9.0]])
    place = in_grid(coordinates, torch.tensor([0, 0, 0, 1]), cube, 8)
    assert place.tolist() == [[4, 4, 4], [0, 0, 0], [7, 7, 7], [4, 6, 7]]


def test_a_voxel_holds_the_mean_of_its_points() -> None:
    features = torch.randn(50, 3)
    voxel = torch.randint(6, (50,))
    sums, counts = pvcnn._voxel_sums(features, voxel, 8)
    for number in range(8):
        members = features[voxel == number]
        assert counts[number] == len(members)
        torch.testing.assert_close(sums[number], members.sum(0))


def test_interpolation_is_trilinear() -> None:
    r, generator = 5, torch.Generator().manual_seed(0)
    grid = torch.randn(2, 3, r, r, r, generator=generator)
    place = torch.rand(2, 20, 3, generator=generator) * (r - 1)
    place[:, :2] = torch.tensor([[0.0, 0.0, 0.0], [r - 1, r - 1, r - 1]])
    rows = grid.permute(0, 2, 3, 4, 1).reshape(-1, 3)
    found = pvcnn._interpolate(rows, place.flatten(0, 1), torch.arange(2).repeat_interleave(20), r)
    sampled = place.flip(2) * 2 / (r - 1) - 1  # last axis first, in -1..1
    expected = F.grid_sample(grid, sampled[:, :, None, None], align_corners=True)
    torch.testing.assert_close(found, expected[..., 0, 0].transpose(1, 2).flatten(0, 1), atol=1e-5, rtol=1e-5)


def test_mixing_is_a_linear_layer_over_the_concatenation() -> None:
    torch.manual_seed(0)
    cloud_mix, point_mix = CloudMix(30, 4, 6).build(), PointMix(30, 5, 6).build()
    cloud, of, points = torch.randn(2, 4), torch.arange(2).repeat_interleave(30), torch.randn(60, 5)
    joint = torch.cat([cloud_mix.linear.weight, point_mix.linear.weight], 1)
    expected = F.linear(torch.cat([cloud[of], points], 1), joint, cloud_mix.linear.bias)
    torch.testing.assert_close(point_mix(points, cloud_mix(cloud, of)), expected)


def test_a_cloud_has_the_largest_of_its_points() -> None:
    features = torch.rand(60, 5)
    of, cube = torch.arange(2).repeat_interleave(30), torch.zeros(2, 4)
    largest = CloudFeatures(30, 5, ()).build()(features, of, cube)
    assert torch.equal(largest, features.view(2, 30, 5).amax(1))


@pytest.mark.parametrize("block", [BLOCKS[0], BLOCKS[4]], ids=repr)
def test_no_exported_node_loses_sums_where_threads_meet(block: Block) -> None:
    """In ScatterND, threads of onnxruntime that add to one row overwrite each other; ScatterElements has one thread."""
    (model,) = to_onnx([block.build()], [block.inputs], [inputs(block)])
    nodes = [node.op_type for node in model.graph.node]
    assert "ScatterND" not in nodes
    assert "ScatterElements" in nodes


def test_onnxruntime_sums_many_points_in_few_voxels() -> None:
    block = PointVoxelConv(40_000, 5, 8, 2, False)
    module, tensors = built(block), inputs(block, 1)
    (model,) = to_onnx([module], [block.inputs], [inputs(BLOCKS[0])])
    assert parity(model, module, [tensors]) < 1e-4
