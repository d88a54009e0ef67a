"""PVCNN has the published sizes, and takes clouds as they come."""

import numpy as np
import pytest
import torch

import search_spaces
from search_spaces import InputError, SearchSpace
from search_spaces.network_inputs.pvcnn import inputs_from_points
from search_spaces.onnx import parity, to_onnx
from search_spaces.points import PointClouds


def clouds(*sizes: int, channels: int = 4) -> PointClouds:
    """Return clouds far from the origin and unlike in extent."""
    generator = torch.Generator().manual_seed(0)
    cloud = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    features = torch.randn(sum(sizes), channels, generator=generator) * (cloud[:, None] + 1) + 10
    return PointClouds(features[:, :3].contiguous(), features, cloud, len(sizes))


def small(**options: object) -> SearchSpace:
    return search_spaces.load("pvcnn", width=0.25, grid=0.25, n_points=50, in_channels=4, n_classes=6, **options)


def linear(inputs: int, outputs: int) -> int:
    """Return the parameters of a linear layer with bias and batch normalisation."""
    return inputs * outputs + outputs + 2 * outputs


def point_voxel(inputs: int, outputs: int) -> int:
    """Return the parameters of two 3x3x3 convolutions with normalisation, and of a linear layer beside them."""
    return linear(27 * inputs, outputs) + linear(27 * outputs, outputs) + linear(inputs, outputs)


def published_s3dis(n_classes: int = 13, features: int = 9) -> int:
    layers = [point_voxel(features, 64), point_voxel(64, 64), point_voxel(64, 64), point_voxel(64, 128)]
    cloud = linear(1024, 256) + linear(256, 128)
    head = linear(64 + 64 + 64 + 128 + 1024 + 128, 512) + linear(512, 256) + 256 * n_classes + n_classes
    return sum(layers) + linear(128, 1024) + cloud + head


def published_shapenet(n_classes: int = 50, features: int = 6) -> int:
    """Without the object's category, one of 16, which the published head reads too."""
    layers = [point_voxel(features, 64), point_voxel(64, 128), point_voxel(128, 128)]
    weights = [2 * channels * channels // 8 for channels in (64, 128, 128)]
    concatenated = 64 + 128 + 128 + 512 + 2048 + 2048
    head = linear(concatenated, 256) + linear(256, 256) + linear(256, 128) + 128 * n_classes + n_classes
    return sum(layers) + sum(weights) + linear(128, 512) + linear(512, 2048) + head


@pytest.mark.parametrize(
    ("options", "n_parameters"),
    [
        ({}, published_s3dis()),
        ({"network": "shapenet", "in_channels": 6, "n_classes": 50}, published_shapenet()),
    ],
)
def test_the_largest_network_has_the_published_layers(options: dict[str, object], n_parameters: int) -> None:
    space = search_spaces.load("pvcnn", **options)
    with torch.device("meta"):
        network = space.build(space.largest())
    assert sum(parameter.numel() for parameter in network.parameters()) == n_parameters


@pytest.mark.parametrize(
    ("options", "size"),
    [
        # by stages of 4 widths and 3 resolutions: the first; the second of depth 1 or 2, or none; the third or none;
        # 4 widths of the layer on points, 4 of the head
        ({}, 12 * (1 + 2 * 12) * (1 + 12) * 4 * 4),
        ({"network": "shapenet"}, 12 * (1 + 2 * 12) * 4 * 4 * 4),
        ({"task": "classification"}, 12 * (1 + 2 * 12) * (1 + 12) * 4 * 4),
    ],
)
def test_sizes(options: dict[str, object], size: int) -> None:
    assert search_spaces.load("pvcnn", **options).size == size


@pytest.mark.parametrize("network", ["s3dis", "shapenet"])
def test_every_point_has_scores_of_its_own(network: str) -> None:
    """Clouds of any sizes go in one batch, and alone they give the same rows."""
    space = small(network=network)
    architecture = space.largest()
    torch.manual_seed(0)
    module, batch = space.build(architecture).eval(), clouds(40, 1, 70)
    with torch.no_grad():
        together = module(*space.prepare(batch, architecture))
        assert together.shape == (111, 6)
        for number in range(3):
            of = batch.cloud == number
            alone = PointClouds(batch.coordinates[of], batch.features[of], torch.zeros(int(of.sum())).long(), 1)
            expected = module(*space.prepare(alone, architecture))
            torch.testing.assert_close(together[of], expected, atol=1e-5, rtol=1e-4)


def test_classification_gives_a_row_a_cloud() -> None:
    space = small(task="classification")
    network = space.build(space.smallest()).train()
    assert network(*space.prepare(clouds(40, 1, 70), space.smallest())).shape == (3, 6)


def test_resolution_changes_no_parameter() -> None:
    space = small()
    coarse = dict(space.largest()) | {f"resolution_{stage}": 4 for stage in (1,)}
    fine, coarser = space.build(space.largest()), space.build(coarse)
    assert {k: v.shape for k, v in fine.state_dict().items()} == {k: v.shape for k, v in coarser.state_dict().items()}


@pytest.mark.parametrize("n", [1, 2, 500])
def test_inputs_in_numpy_are_those_of_training(n: int) -> None:
    space = small()
    batch = clouds(n)
    expected = space.prepare(batch, space.largest())
    found = inputs_from_points(batch.coordinates.numpy(), batch.features.numpy())
    assert list(found) == [spec.name for spec in space.inputs(space.largest())]
    for array, tensor in zip(found.values(), expected, strict=True):
        assert array.dtype == tensor.numpy().dtype
        np.testing.assert_allclose(array, tensor.numpy(), rtol=1e-6, atol=1e-6)


def test_clouds_that_cannot_be_used_are_refused() -> None:
    space, batch = small(), clouds(5)
    with pytest.raises(InputError, match="points with 6 features for a network of in_channels 4"):
        space.prepare(clouds(5, channels=6), space.smallest())
    batch.coordinates[3, 1] = torch.inf
    with pytest.raises(InputError, match=r"^point 3 is \["):
        space.prepare(batch, space.smallest())
    points = batch.features.numpy()
    with pytest.raises(ValueError, match=r"^point 3 has a coordinate or feature that is not finite: leave it out$"):
        inputs_from_points(batch.coordinates.numpy(), points)
    with pytest.raises(ValueError, match=r"^coordinates \(\d+, 4\) and features .*: expected \(points, 3\) and"):
        inputs_from_points(points, points)
    with pytest.raises(ValueError, match="the cloud has no points"):
        inputs_from_points(points[:0, :3], points[:0])


@pytest.mark.parametrize(
    "options", [{"network": "shapenet"}, pytest.param({"task": "classification"}, marks=pytest.mark.slow)]
)
def test_other_forms_are_exported_too(options: dict[str, object]) -> None:
    space = small(**options)
    architecture = space.smallest()
    torch.manual_seed(0)
    network = space.build(architecture).eval()
    examples = [space.prepare(clouds(*sizes), architecture) for sizes in ((30, 50), (90,), (5, 60, 7))]
    (model,) = to_onnx([network], [space.inputs(architecture)], examples[:1])
    assert parity(model, network, examples) < 1e-5
