"""The operations equal dense ones where there are voxels, and their gradients are right."""

import gc
import itertools

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional as F

from search_spaces.points import PointClouds
from search_spaces.sparse import operations
from search_spaces.sparse.geometry import Voxels, geometry, offsets
from search_spaces.sparse.operations import average_points, convolve_between, convolve_neighbours, interpolate

from .conftest import cloud_of, scene

VOXEL = 0.2
SIZE = 16
"""Voxels a side of the dense grid."""


@pytest.fixture
def clouds() -> PointClouds:
    """Two frames of 3.2 m a side that begin at the origin."""
    return cloud_of(scene(150) + 1.6, scene(100, 1) + 1.6)


@pytest.fixture
def lists(clouds: PointClouds) -> dict[str, Tensor]:
    return geometry(clouds, VOXEL, 2, (1, 2))


def cells(clouds: PointClouds, stride: int) -> Tensor:
    """Return frame, x, y, z of each voxel, (voxels, 4)."""
    inside = (clouds.coordinates.double() * (1 / VOXEL) / stride).floor().long()
    return torch.cat((clouds.cloud[:, None], inside), 1).unique(dim=0)


def dense(x: Tensor, places: Tensor, size: int) -> Tensor:
    """Return voxels (voxels, channels) as a grid (frames, channels, size, size, size)."""
    grid = x.new_zeros(2, size, size, size, x.shape[1])
    return grid.index_put((*places.unbind(1),), x).movedim(-1, 1)


def at(grid: Tensor, places: Tensor) -> Tensor:
    return grid.movedim(1, -1)[(*places.unbind(1),)]


def averaging(lists: dict[str, Tensor], stride: int) -> list[Tensor]:
    return [lists[f"{name}_{stride}"] for name in ("merges", "merge_counts", "first_points", "n_points")]


def interpolation(lists: dict[str, Tensor], stride: int) -> list[Tensor]:
    return [lists[f"{name}_{stride}"] for name in ("corners", "corner_counts", "shares")]


def cubic(weight: Tensor, kernel: int) -> Tensor:
    """Return a weight (offsets, in, out) as that of a dense convolution, (out, in, kernel, kernel, kernel)."""
    cube = weight.new_empty(kernel, kernel, kernel, *weight.shape[1:])
    for number, offset in enumerate(offsets(kernel)):
        cube[tuple(c + (kernel // 2 if kernel % 2 else 0) for c in offset)] = weight[number]
    return cube.permute(4, 3, 0, 1, 2)


@pytest.mark.parametrize("kernel", [3, 5])
def test_neighbours_are_convolved_as_on_a_dense_grid(clouds: PointClouds, kernel: int) -> None:
    places = cells(clouds, 1)
    numbers = (places * torch.tensor([1 << 51, 1 << 34, 1 << 17, 1])).sum(1) + (1 << 50) + (1 << 33) + (1 << 16)
    pairs, counts = Voxels(1, numbers, torch.tensor([]), 2).neighbours(kernel)
    x, weight = torch.randn(len(places), 3), torch.randn(kernel**3, 3, 5)
    expected = F.conv3d(dense(x, places, SIZE), cubic(weight, kernel), padding=kernel // 2)
    assert torch.allclose(convolve_neighbours(x, pairs, counts, weight), at(expected, places), atol=1e-4)


def test_a_kernel_of_three_is_a_kernel_of_five_whose_outer_weights_are_none(lists: dict[str, Tensor]) -> None:
    x = torch.randn(len(lists["n_points_1"]), 3)
    weight = torch.cat((torch.randn(27, 3, 5), torch.zeros(98, 3, 5)))
    pairs, counts = lists["neighbours_1"], lists["neighbour_counts_1"]
    more = torch.cat((counts, torch.zeros(2, 49, dtype=torch.long)), 1)
    small = convolve_neighbours(x, pairs, counts, weight[:27])
    assert torch.equal(convolve_neighbours(x, pairs, more, weight), small)


def test_down_and_up_are_convolved_as_on_a_dense_grid(clouds: PointClouds, lists: dict[str, Tensor]) -> None:
    fine, coarse = cells(clouds, 1), cells(clouds, 2)
    child, parent = lists["children_2"].unbind(1)
    counts, weight = lists["child_counts_2"], torch.randn(8, 3, 5)
    x = torch.randn(len(fine), 3)
    down = convolve_between(x, child, parent, counts, weight, lists["n_points_2"])
    expected = F.conv3d(dense(x, fine, SIZE), cubic(weight, 2), stride=2)
    assert torch.allclose(down, at(expected, coarse), atol=1e-5)
    x = torch.randn(len(coarse), 3)
    up = convolve_between(x, parent, child, counts, weight, child)
    expected = F.conv_transpose3d(dense(x, coarse, SIZE // 2), cubic(weight, 2).transpose(0, 1), stride=2)
    assert torch.allclose(up, at(expected, fine), atol=1e-5)


def test_points_are_averaged_by_voxel(clouds: PointClouds, lists: dict[str, Tensor]) -> None:
    x = torch.randn(len(clouds), 3)
    inside = (clouds.coordinates.double() * (1 / VOXEL) / 2).floor().long()
    _, voxel = torch.cat((clouds.cloud[:, None], inside), 1).unique(dim=0, return_inverse=True)
    expected = torch.stack([x[voxel == row].mean(0) for row in range(len(lists["n_points_2"]))])
    assert torch.allclose(average_points(x, *averaging(lists, 2)), expected, atol=1e-6)


def test_voxels_are_interpolated_at_points(clouds: PointClouds, lists: dict[str, Tensor]) -> None:
    corners, shares = lists["corners_2"], lists["shares_2"]
    x = torch.randn(len(lists["n_points_2"]), 3)
    matrix = torch.zeros(len(clouds), len(x)).index_put((corners[:, 1], corners[:, 0]), shares)
    assert torch.allclose(interpolate(x, *interpolation(lists, 2), clouds.cloud), matrix @ x, atol=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    lists = geometry(cloud_of(scene(12) + 1.6, scene(9, 1) + 1.6), 0.5, 2, (1, 2))

    def random(*sizes: int) -> Tensor:
        return torch.randn(sizes, dtype=torch.float64, requires_grad=True)

    n_fine, n_coarse = len(lists["n_points_1"]), len(lists["n_points_2"])
    pairs, counts = lists["neighbours_1"], lists["neighbour_counts_1"]
    assert len(pairs) > 0
    assert gradcheck(lambda x, w: convolve_neighbours(x, pairs, counts, w), (random(n_fine, 2), random(27, 2, 3)))
    child, parent = lists["children_2"].unbind(1)
    down = child, parent, lists["child_counts_2"]
    inputs = random(n_fine, 2), random(8, 2, 3)
    assert gradcheck(lambda x, w: convolve_between(x, *down, w, lists["n_points_2"]), inputs)
    assert gradcheck(lambda x: average_points(x, *averaging(lists, 2)), (random(21, 2),))
    corners, counts, shares = interpolation(lists, 2)
    points = torch.empty(21)
    assert gradcheck(lambda x: interpolate(x, corners, counts, shares.double(), points), (random(n_coarse, 2),))


def test_features_that_need_no_gradient_get_none(lists: dict[str, Tensor]) -> None:
    x, weight = torch.randn(len(lists["n_points_1"]), 3), torch.randn(27, 3, 5, requires_grad=True)
    convolve_neighbours(x, lists["neighbours_1"], lists["neighbour_counts_1"], weight).sum().backward()
    assert x.grad is None
    assert weight.grad is not None


def test_what_follows_from_a_list_is_found_once_and_dropped_with_it(clouds: PointClouds) -> None:
    lists = geometry(clouds, VOXEL, 1, (1,))
    before = len(operations._DERIVED)
    for channels in (2, 3):
        x = torch.randn(len(clouds), channels, requires_grad=True)
        voxels = average_points(x, *averaging(lists, 1))
        interpolate(voxels, *interpolation(lists, 1), x).sum().backward()
    assert {"voxels"} == operations._DERIVED[lists["merges_1"]].keys()
    assert {0, 1} == operations._DERIVED[lists["corners_1"]].keys()
    lists.clear()
    del voxels, x
    gc.collect()
    assert len(operations._DERIVED) == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_leaves_the_operations_in_float32(lists: dict[str, Tensor], dtype: torch.dtype) -> None:
    x, weight = torch.randn(len(lists["n_points_1"]), 3), torch.randn(27, 3, 5)
    pairs = lists["neighbours_1"], lists["neighbour_counts_1"]
    with torch.autocast("cpu", torch.bfloat16):
        y = convolve_neighbours(x.to(dtype), *pairs, weight)
    assert y.dtype == torch.float32
    assert torch.allclose(y, convolve_neighbours(x, *pairs, weight), atol=0.1)


def test_one_frame_more_changes_nothing_in_the_others() -> None:
    """Batches of every number of frames up to three."""
    frames = [scene(80, seed) for seed in range(3)]
    weight = torch.randn(27, 4, 3)

    def convolved(*some: Tensor) -> Tensor:
        clouds = cloud_of(*some)
        lists = geometry(clouds, VOXEL, 1, (1,))
        x = average_points(clouds.features, *averaging(lists, 1))
        return convolve_neighbours(x, lists["neighbours_1"], lists["neighbour_counts_1"], weight)

    alone = [convolved(frame) for frame in frames]
    for n in (2, 3):
        for some in itertools.combinations(range(3), n):
            together = convolved(*(frames[i] for i in some))
            assert torch.allclose(together, torch.cat([alone[i] for i in some]), atol=1e-5)
