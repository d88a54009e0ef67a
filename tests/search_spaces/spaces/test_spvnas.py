"""Point-voxel networks: published sizes, the scenes they read, and what they cost."""

from itertools import pairwise
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import search_spaces
from latency_predictors.analytic.counts import count, count_network
from search_spaces import Block, InputError, SearchSpace
from search_spaces.blocks.sparse import PointwiseConvolution, SparseConvolution, Upsampling
from search_spaces.blocks.sparse_points import PointsToVoxels, VoxelsToPoints
from search_spaces.onnx import feed, parity, to_onnx
from search_spaces.points import PointClouds
from search_spaces.sparse.geometry import count_rows

SMALL = {"n_classes": 5, "voxel_size": 0.1}


def scene(n_points: int, seed: int) -> Tensor:
    """Return points (points, 4): a floor, a pole, remission."""
    points = torch.rand(n_points, 4, generator=torch.Generator().manual_seed(seed)) * 3 - 1
    points[: n_points // 2, 2] *= 0.1
    points[n_points // 2 :, :2] *= 0.2
    return points


def batch(*frames: Tensor) -> PointClouds:
    points = torch.cat(frames)
    number = torch.repeat_interleave(torch.arange(len(frames)), torch.tensor([len(frame) for frame in frames]))
    return PointClouds(points[:, :3].contiguous(), points, number, len(frames))


def network(space: SearchSpace, architecture: Any) -> nn.Module:
    """Return a network whose norms know a scene, so that its outputs are of order one."""
    torch.manual_seed(0)
    made = space.build(architecture)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = None
    with torch.no_grad():
        made.train()(*space.prepare(batch(scene(400, 9)), architecture))
    return made.eval()


def published(scale: float, n_classes: int = 19) -> int:
    """Return the parameters of SPVCNN, layer by layer as published."""
    c = [int(scale * channels) for channels in (32, 32, 64, 128, 256, 256, 128, 96, 96)]

    def convolution(before: int, after: int, offsets: int) -> int:
        return offsets * before * after + 2 * after  # no bias; norm

    def residual(before: int, after: int) -> int:
        shortcut = 0 if before == after else convolution(before, after, 1)
        return convolution(before, after, 27) + convolution(after, after, 27) + shortcut

    total = convolution(4, c[0], 27) + convolution(c[0], c[0], 27)
    for before, after in pairwise(c[:5]):
        total += convolution(before, before, 8) + residual(before, after) + residual(after, after)
    for before, after, skip in zip(c[4:8], c[5:], reversed(c[:4]), strict=True):
        total += convolution(before, after, 8) + residual(after + skip, after) + residual(after, after)
    for before, after in ((c[0], c[4]), (c[4], c[6]), (c[6], c[8])):
        total += before * after + after + 2 * after
    return total + c[8] * n_classes + n_classes


@pytest.mark.parametrize(("scale", "figure"), [(0.5, 5_449_267), (1.0, 21_778_003)])
def test_spvcnn_has_the_published_parameters(scale: float, figure: int) -> None:
    space = search_spaces.load("spvcnn")
    with torch.device("meta"):
        parameters = sum(p.numel() for p in space.build({"scale": scale}).parameters())
    assert parameters == published(scale) == figure


def test_spvnas_holds_the_widths_of_spvcnn() -> None:
    channels = {"down": (32, 64, 128, 256), "up": (256, 128, 96, 96)}
    options = {}
    for way, widths in channels.items():
        for number, after in enumerate(widths, 1):
            before = (32, *widths)[number - 1] if way == "down" else after
            stage = {"channels": after, "transition": before, "depth": 2, "middle1": after, "middle2": after}
            options |= {f"{way}{number}_{name}": option for name, option in stage.items()}
    space = search_spaces.load("spvnas")
    space.encode([options])
    with torch.device("meta"):
        parameters = sum(p.numel() for p in space.build(options).parameters())
    assert parameters == published(1.0) + 32 * 32 + 2 * 32, "the first stage's shortcut is a convolution here"


def test_the_largest_option_is_drawn_as_often_as_any() -> None:
    space = search_spaces.load("spvnas")
    drawn = space.sample(20000, np.random.default_rng(0))
    for column, n in enumerate(space.n_options):
        assert abs((drawn[:, column] == n - 1).mean() - 1 / n) < 0.02


SPACE = search_spaces.load("spvnas_small", **SMALL)


def test_points_in_another_order_get_their_logits_in_that_order() -> None:
    architecture, points = SPACE.largest(), scene(300, 0)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    made = network(SPACE, architecture)
    with torch.no_grad():
        first = made(*SPACE.prepare(batch(points), architecture))
        second = made(*SPACE.prepare(batch(points[order]), architecture))
    assert torch.allclose(second, first[order], atol=1e-5)
    assert first.std() > 0.1


def test_two_frames_at_once_are_two_frames_alone() -> None:
    architecture, one, two = SPACE.largest(), scene(300, 0), scene(200, 1)
    made = network(SPACE, architecture)
    with torch.no_grad():
        both = made(*SPACE.prepare(batch(one, two), architecture))
        alone = [made(*SPACE.prepare(batch(frame), architecture)) for frame in (one, two)]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)


def test_the_geometry_is_made_once_and_shared_by_all_subnets() -> None:
    clouds = batch(scene(100, 0))
    with torch.inference_mode():
        first = SPACE.prepare(clouds, SPACE.smallest())
    second = SPACE.prepare(clouds, SPACE.largest())
    assert all(a is b for a, b in zip(first, second, strict=True))
    SPACE.build(SPACE.smallest())(*second).sum().backward()


def test_a_frame_within_one_voxel_can_be_trained_on() -> None:
    """One row has no variance, which batch normalisation would refuse."""
    points = scene(50, 0) * 0.02 + 0.05
    architecture = SPACE.smallest()
    inputs = SPACE.prepare(batch(points), architecture)
    assert len(inputs[[spec.name for spec in SPACE.inputs(architecture)].index("n_points_1")]) == 1
    logits = SPACE.build(architecture).train()(*inputs)
    logits.square().sum().backward()
    assert logits.isfinite().all()


def test_the_number_of_features_is_checked() -> None:
    clouds = batch(scene(100, 0))
    with pytest.raises(InputError, match="points with 2 features for a network of in_channels 4"):
        SPACE.prepare(PointClouds(clouds.coordinates, clouds.features[:, :2], clouds.cloud, 1), SPACE.smallest())


def test_onnxruntime_reads_scenes_of_any_size_from_the_numpy_function() -> None:
    architecture = SPACE.smallest()
    made = network(SPACE, architecture)
    example = SPACE.prepare(batch(scene(120, 0), scene(130, 1)), architecture)
    (model,) = to_onnx([made], [SPACE.inputs(architecture)], [example])
    clouds = [batch(scene(n, n)) for n in (90, 500)]
    assert parity(model, made, [SPACE.prepare(c, architecture) for c in clouds]) < 1e-5
    bundled: dict[str, Any] = {}
    exec(SPACE.bundle_files()["inputs_from_points.py"], bundled)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for cloud in clouds:
        inputs = bundled["inputs_from_points"](cloud.coordinates.numpy(), cloud.features.numpy())
        (logits,) = session.run(None, {value.name: inputs[value.name] for value in session.get_inputs()})
        with torch.no_grad():
            expected = made(*SPACE.prepare(cloud, architecture))
        assert torch.allclose(torch.from_numpy(logits), expected, atol=1e-5)


@pytest.mark.parametrize(
    "block", [PointsToVoxels(40_000, 20, 8, 0.0), VoxelsToPoints(40_000, 20, 300_000, 3, 8, False)]
)
def test_threads_of_onnxruntime_lose_no_sums(block: Block) -> None:
    module, example = block.build(), block.example(2, torch.Generator())
    (model,) = to_onnx([module], [block.inputs], [example])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (actual,) = session.run(None, feed(model, example))
    assert torch.allclose(torch.from_numpy(actual), module(*example), atol=1e-5)


def test_a_scene_can_be_what_blocks_are_measured_at() -> None:
    clouds = batch(scene(500, 0), scene(50, 1), scene(900, 2))
    smallest, rows, largest = (SPACE.scene_options(clouds, quantile) for quantile in (0, 0.5, 1))
    assert smallest["n_voxels"] < rows["n_voxels"] < largest["n_voxels"]
    assert [rows] == count_rows(batch(scene(500, 0)), 0.1)
    space = search_spaces.load("spvnas_small", **SMALL, **rows)
    specs = space.inputs(space.smallest())
    prepared = space.prepare(batch(scene(500, 0)), space.smallest())
    assert [x.shape for x in prepared] == [spec.sizes(1) for spec in specs]
    assert [x.dtype for x in prepared] == [spec.torch_dtype for spec in specs]
    for x, spec in zip(prepared, specs, strict=True):
        assert spec.below is None or x.max() < spec.below, spec


def test_multiply_adds_are_those_of_the_pairs_there_are() -> None:
    convolution = SparseConvolution(100, 3, 5, "none", False, 40)
    assert count(convolution).macs == (100 + 2 * 40) * 3 * 5
    assert count(PointwiseConvolution(100, 3, 5, "none", True)).macs == 100 * 3 * 5
    assert count(Upsampling(70, 20, 3, 5)).macs == 70 * 3 * 5
    architecture = SPACE.largest()
    whole = count_network(SPACE, architecture, SPACE.build(architecture)).macs
    assert whole == sum(count(block).macs for block in SPACE.plan(architecture).values())


TEN_POINTS: dict[str, Any] = {"n_points": 10, "n_voxels": (9, 5, 3, 2, 1), "n_pairs": (1, 1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_voxels": (100, 10, 5, 3, 2)}, "n_voxels .* at most 8"),
        ({"n_voxels": (10, 20, 5, 3, 2)}, "n_voxels .* at most 8"),
        ({"n_voxels": (10, 5, 3)}, "n_voxels"),
        ({"n_voxels": (10, 9, 8, 7, 6), "n_pairs": (131, 1, 1, 1, 1)}, "n_pairs .* at most 13 times n_voxels"),
        ({"n_points": 10, "n_voxels": (10, 5, 3, 2, 1)}, "n_voxels .* fewer voxels than n_points"),
        (TEN_POINTS | {"n_corners": (9, 10, 10, 10, 10)}, "n_corners .* between n_points and 8 times"),
        (TEN_POINTS | {"n_corners": (10, 10, 10, 10, 81)}, "n_corners .* between n_points and 8 times"),
        (TEN_POINTS, r"n_corners \(455253, .* between n_points and 8 times"),
        ({"n_points": 10}, r"n_voxels \(42024, .* fewer voxels than n_points"),
        ({"n_voxels": (10, 5, 3, 2, 1)}, r"n_pairs \(112338, .* at most 13 times n_voxels"),
        ({"voxel_size": 0}, "voxel_size 0"),
        ({"voxel_size": float("inf")}, "voxel_size inf: input should be a finite number"),
    ],
)
def test_rows_that_no_scene_has_are_refused(options: dict[str, Any], message: str) -> None:
    """Those that are given, and those that are defaults beside what is given."""
    with pytest.raises(InputError, match=message):
        search_spaces.load("spvnas_small", **options)


@pytest.mark.parametrize("scale", [0.02, float("inf"), -1])
def test_scales_that_leave_no_network_are_refused(scale: float) -> None:
    with pytest.raises(InputError, match=rf"^space spvcnn: scales.1 {scale}: input should be"):
        search_spaces.load("spvcnn", scales=(1 / 32, scale))
