import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nas.data.options import Augmentation
from nas.data.points.augmentation import augment, thinned

SEEDS = st.integers(0, 2**32 - 1)


def clouds(n_clouds: int = 4, n_points: int = 30) -> tuple[Tensor, Tensor]:
    points = torch.randn(n_clouds * n_points, 4, generator=torch.Generator().manual_seed(0)) * 10
    return points, torch.arange(n_clouds).repeat_interleave(n_points)


def varied(augmentation: Augmentation, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    points, cloud = clouds()
    points = points.double()
    return points, cloud, augment(points, cloud, 4, augmentation, torch.Generator().manual_seed(seed))


@given(seed=SEEDS)
def test_shapes_are_kept_up_to_the_scale(seed: int) -> None:
    points, cloud, result = varied(Augmentation(scale=0.05), seed)
    assert torch.equal(result[:, 3], points[:, 3])
    for number in range(4):
        of = cloud == number
        before, after = torch.cdist(points[of, :3], points[of, :3]), torch.cdist(result[of, :3], result[of, :3])
        scale = (after.sum() / before.sum()).item()
        assert 0.95 - 1e-4 <= scale <= 1.05 + 1e-4
        torch.testing.assert_close(after, before * scale, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(result[of, 2], points[of, 2] * scale, atol=1e-4, rtol=1e-4)


@given(seed=SEEDS)
def test_the_result_follows_the_seed(seed: int) -> None:
    assert torch.equal(varied(Augmentation(), seed)[2], varied(Augmentation(), seed)[2])
    assert not torch.equal(varied(Augmentation(), seed)[2], varied(Augmentation(), seed + 1)[2])


def test_nothing_is_varied_without_a_turn_a_scale_and_a_flip() -> None:
    points, _, result = varied(Augmentation(rotation=0, scale=0, flip=False))
    assert torch.equal(result, points)


def test_clouds_are_varied_apart_and_mirrored_in_both_directions() -> None:
    points, cloud, result = varied(Augmentation(rotation=0, scale=0), seed=1)
    signs = {tuple((result[cloud == n] / points[cloud == n])[0, :2].round().int().tolist()) for n in range(4)}
    assert len(signs) > 1
    assert signs <= {(1, 1), (1, -1), (-1, 1), (-1, -1)}


@pytest.mark.parametrize("flip", [None, True, False])
def test_handedness_changes_only_by_mirroring(flip: bool | None) -> None:
    handedness = set()
    for seed in range(20):
        points, _, result = varied(Augmentation(flip=flip), seed)
        before, after = points[:2, :2].double(), result[:2, :2].double()
        handedness.add(bool((before.det() > 0) == (after.det() > 0)))
    assert handedness == ({True} if flip is False else {True, False})


@given(n=st.integers(1, 50), at_most=st.integers(1, 60), seed=SEEDS, data=st.data())
def test_as_many_points_remain_as_may_one_of_them_labelled(
    n: int, at_most: int, seed: int, data: st.DataObject
) -> None:
    labelled = torch.zeros(n, dtype=torch.bool)
    labelled[data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=3))] = True
    rows = thinned(labelled, at_most, torch.Generator().manual_seed(seed))
    assert len(rows) == min(n, at_most)
    assert (rows.diff() > 0).all()
    assert set(rows.tolist()) <= set(range(n))
    assert labelled[rows].any()
    assert torch.equal(rows, thinned(labelled, at_most, torch.Generator().manual_seed(seed)))
