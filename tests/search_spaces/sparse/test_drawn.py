"""Drawn lists have the planned numbers of rows and keep what the operations rely on."""

from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from search_spaces.sparse import drawn

FRAMES = st.integers(1, 3)


def assert_sound(pairs: Tensor, counts: Tensor, n_first: int, n_second: int) -> None:
    """No row twice within one offset, all rows there."""
    for part in pairs.split(counts.sum(0).tolist()):
        for column, n in zip(part.unbind(1), (n_first, n_second), strict=True):
            assert len(column.unique()) == len(column)
            assert ((column >= 0) & (column < n)).all()


@given(n=st.integers(1, 50), density=st.floats(0, 13), n_frames=FRAMES)
def test_neighbours(n: int, density: float, n_frames: int) -> None:
    pairs, counts = drawn.neighbours(n, int(density * n), n_frames)
    assert (pairs.shape, counts.shape) == ((int(density * n) * n_frames, 2), (n_frames, 13))
    assert_sound(pairs, counts, n * n_frames, n * n_frames)


@given(n_coarse=st.integers(1, 20), share=st.floats(1, 8), n_frames=FRAMES)
def test_children(n_coarse: int, share: float, n_frames: int) -> None:
    n_fine = int(share * n_coarse)
    pairs, counts = drawn.children(n_fine, n_coarse, n_frames)
    assert sorted(pairs[:, 0].tolist()) == list(range(n_fine * n_frames))
    assert counts.shape == (n_frames, 8)
    assert_sound(pairs, counts, n_fine * n_frames, n_coarse * n_frames)


@given(n_voxels=st.integers(1, 20), share=st.floats(1, 4), more=st.floats(1, 8), n_frames=FRAMES)
def test_points(n_voxels: int, share: float, more: float, n_frames: int) -> None:
    n_points = int(share * n_voxels)
    merges, counts, first, n_points_in = drawn.points(n_points, n_voxels, n_frames)
    assert n_points_in.sum() == n_points * n_frames
    assert n_points_in.min() >= 1
    assert (len(merges), len(first)) == ((n_points - n_voxels) * n_frames, n_voxels * n_frames)
    assert_sound(merges, counts, n_points * n_frames, n_points * n_frames)
    corners, counts, shares = drawn.corners(n_points, n_voxels, int(more * n_points), n_frames)
    assert len(corners) == len(shares) == int(more * n_points) * n_frames
    assert corners[:, 1].unique().tolist() == list(range(n_points * n_frames))
    assert corners[:, 0].max() < n_voxels * n_frames
    for part in corners.split(counts.sum(0).tolist()):
        assert len(part[:, 1].unique()) == len(part)
