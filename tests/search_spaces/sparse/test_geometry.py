"""Voxels, neighbours and corners are those that a search by dictionary finds."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import search_spaces
from search_spaces import InputError
from search_spaces.points import PointClouds
from search_spaces.sparse.geometry import LARGEST, N_STRIDES, count_rows, geometry, offsets, strides

from .conftest import cloud_of, scene

VOXEL = 0.1
ALL = strides(N_STRIDES)

Place = tuple[int, ...]


def places(clouds: PointClouds, stride: int) -> list[Place]:
    """Return frame, x, y, z of each point's voxel."""
    cells = torch.floor(clouds.coordinates.double() * (1 / VOXEL) / stride).long()
    return [(frame, *cell) for frame, cell in zip(clouds.cloud.tolist(), cells.tolist(), strict=True)]


def rows_of(clouds: PointClouds, stride: int) -> dict[Place, int]:
    return {place: row for row, place in enumerate(sorted(set(places(clouds, stride))))}


def parts(pairs: Tensor, counts: Tensor) -> list[set[tuple[int, int]]]:
    return [{(a, b) for a, b in part.tolist()} for part in pairs.split(counts.sum(0).tolist())]


def moved(place: Place, offset: Place) -> Place:
    return (place[0], *(a + b for a, b in zip(place[1:], offset, strict=True)))


@pytest.fixture
def lists(clouds: PointClouds) -> dict[str, Tensor]:
    return geometry(clouds, VOXEL, N_STRIDES, ALL)


@pytest.mark.parametrize("stride", ALL)
def test_points_lie_in_their_voxels(clouds: PointClouds, lists: dict[str, Tensor], stride: int) -> None:
    rows = rows_of(clouds, stride)
    of_point = [rows[place] for place in places(clouds, stride)]
    assert lists[f"n_points_{stride}"].tolist() == [of_point.count(row) for row in range(len(rows))]
    assert [of_point[first] for first in lists[f"first_points_{stride}"]] == list(range(len(rows)))


@pytest.mark.parametrize("stride", ALL)
def test_merging_adds_up_the_points_of_each_voxel(clouds: PointClouds, lists: dict[str, Tensor], stride: int) -> None:
    rows = rows_of(clouds, stride)
    members = [{point} for point in range(len(clouds))]
    for merges in parts(lists[f"merges_{stride}"], lists[f"merge_counts_{stride}"]):
        assert len({joined for _, joined in merges}) == len(merges)
        assert {joined for _, joined in merges}.isdisjoint(joining for joining, _ in merges)
        for joining, joined in merges:
            members[joined] |= members[joining]
    expected = [{i for i, place in enumerate(places(clouds, stride)) if rows[place] == row} for row in range(len(rows))]
    assert [members[first] for first in lists[f"first_points_{stride}"]] == expected
    per_frame = lists[f"merge_counts_{stride}"].sum(1) + torch.tensor(
        [sum(place[0] == frame for place in rows) for frame in range(clouds.n_clouds)]
    )
    assert per_frame.tolist() == clouds.cloud.bincount().tolist()


@pytest.mark.parametrize("stride", ALL)
def test_neighbours_are_those_a_search_finds(clouds: PointClouds, lists: dict[str, Tensor], stride: int) -> None:
    rows = rows_of(clouds, stride)
    counts = lists[f"neighbour_counts_{stride}"]
    found = parts(lists[f"neighbours_{stride}"], counts)
    for offset, pairs in zip(offsets(3)[1::2], found, strict=True):
        assert pairs == {(rows[p], rows[q]) for p in rows if (q := moved(p, offset)) in rows}
    for frame in range(clouds.n_clouds):
        own = sum((moved(p, o) in rows) for p in rows for o in offsets(3)[1::2] if p[0] == frame)
        assert counts[frame].sum() == own


@pytest.mark.parametrize("stride", ALL[1:])
def test_children_lie_in_their_parents(clouds: PointClouds, lists: dict[str, Tensor], stride: int) -> None:
    fine, coarse = rows_of(clouds, stride // 2), rows_of(clouds, stride)
    found = parts(lists[f"children_{stride}"], lists[f"child_counts_{stride}"])
    for offset, pairs in zip(offsets(2), found, strict=True):
        inside = {p: moved((p[0], *(2 * c for c in p[1:])), offset) for p in coarse}
        assert pairs == {(fine[child], coarse[p]) for p, child in inside.items() if child in fine}


@pytest.mark.parametrize("stride", ALL)
def test_interpolation_is_trilinear_between_the_voxels_there_are(
    clouds: PointClouds, lists: dict[str, Tensor], stride: int
) -> None:
    rows = rows_of(clouds, stride)
    expected = torch.zeros(len(clouds), len(rows), dtype=torch.float64)
    scaled = clouds.coordinates.double() * (1 / VOXEL) / stride - 0.5
    for point, (frame, place) in enumerate(zip(clouds.cloud.tolist(), scaled.tolist(), strict=True)):
        for corner in itertools.product((0, 1), repeat=3):
            at = [int(torch.tensor(p).floor()) + c for p, c in zip(place, corner, strict=True)]
            if (frame, *at) in rows:
                weight = torch.tensor([1 - abs(p - a) for p, a in zip(place, at, strict=True)]).prod()
                expected[point, rows[frame, *at]] = weight
    expected /= expected.sum(1, keepdim=True)
    corners, shares = lists[f"corners_{stride}"], lists[f"shares_{stride}"]
    for kind in parts(corners, lists[f"corner_counts_{stride}"]):
        assert len({point for _, point in kind}) == len(kind)
    actual = torch.zeros_like(expected).index_put_((corners[:, 1], corners[:, 0]), shares.double())
    assert torch.allclose(actual, expected, atol=1e-6)


@given(n=st.integers(1, 60), seed=st.integers(0, 1000), metres=st.floats(0.01, 500))
def test_shares_sum_to_one(n: int, seed: int, metres: float) -> None:
    lists = geometry(cloud_of(scene(n, seed, metres)), VOXEL, N_STRIDES, ALL)
    for stride in ALL:
        points, shares = lists[f"corners_{stride}"][:, 1], lists[f"shares_{stride}"]
        assert torch.allclose(torch.zeros(n).index_add_(0, points, shares), torch.ones(n), atol=1e-6)


def test_a_smaller_kernels_offsets_are_the_first_of_a_larger_ones() -> None:
    assert offsets(1) == [(0, 0, 0)]
    assert offsets(3) == offsets(5)[:27]
    for kernel in (3, 5):
        assert len(set(offsets(kernel))) == kernel**3
        half, mirrored = offsets(kernel)[1::2], offsets(kernel)[2::2]
        assert [tuple(-c for c in offset) for offset in half] == mirrored


def test_voxels_at_the_edge_of_the_range_have_no_false_neighbours() -> None:
    edge = (LARGEST - 1) * VOXEL
    corners = torch.tensor(list(itertools.product((-edge, edge), repeat=3)))
    lists = geometry(cloud_of(corners, corners), VOXEL, N_STRIDES, ())
    assert [len(lists[f"neighbours_{stride}"]) for stride in ALL] == [0] * N_STRIDES
    assert [len(lists[f"n_points_{stride}"]) for stride in ALL] == [16] * N_STRIDES


def test_rows_are_counted_from_the_sparsest_frame_to_the_densest() -> None:
    dense, sparse = scene(300), scene(300, 1, metres=20.0)
    together = count_rows(cloud_of(dense, sparse), VOXEL)
    assert together == [*count_rows(cloud_of(dense), VOXEL), *count_rows(cloud_of(sparse), VOXEL)]
    lists = geometry(cloud_of(dense), VOXEL, N_STRIDES, ALL)
    fields = {"n_voxels": "n_points", "n_pairs": "neighbours", "n_corners": "corners"}
    expected = {field: tuple(len(lists[f"{name}_{s}"]) for s in ALL) for field, name in fields.items()}
    assert together[0] == {"n_points": 300, **expected}


def test_points_that_cannot_be_used_are_refused(clouds: PointClouds) -> None:
    clouds.coordinates[7, 1] = float("nan")
    with pytest.raises(InputError, match=r"^point 7 is \[.*finite; leave it out$"):
        geometry(clouds, VOXEL, 1, ())


def test_points_too_far_away_are_refused(clouds: PointClouds) -> None:
    clouds.coordinates[3, 0] = -7000
    with pytest.raises(InputError, match=r"^point 3 lies at \[-7000.*within 6547.2 m; .* larger voxels$"):
        geometry(clouds, VOXEL, 1, ())


def test_more_frames_than_can_be_told_apart_are_refused(clouds: PointClouds) -> None:
    with pytest.raises(InputError, match="5000 frames in one batch"):
        geometry(PointClouds(clouds.coordinates, clouds.features, clouds.cloud, 5000), VOXEL, 1, ())


def test_a_frame_of_single_points_gives_rows_that_a_space_takes() -> None:
    """Thinned scans have a voxel for every point."""
    clouds = cloud_of(torch.arange(200.0)[:, None].expand(-1, 3) * 3 * VOXEL)
    (rows,) = count_rows(clouds, VOXEL)
    assert rows["n_voxels"][0] == 200
    search_spaces.load("spvnas_small", voxel_size=VOXEL, **rows)
