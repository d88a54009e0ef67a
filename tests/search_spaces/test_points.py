"""Clouds that no network can read are told."""

import pytest
import torch

from search_spaces import InputError
from search_spaces.points import PointClouds


@pytest.fixture
def clouds() -> PointClouds:
    """Two clouds of ten points each."""
    points = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    return PointClouds(points[:, :3].contiguous(), points, torch.arange(2).repeat_interleave(10), 2)


def test_usable_ones_pass(clouds: PointClouds) -> None:
    clouds.require_usable()
    clouds.require_features(4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["coordinates", "features"])
def test_points_that_are_not_finite_are_refused(clouds: PointClouds, field: str, value: float) -> None:
    getattr(clouds, field)[7, 1] = value
    with pytest.raises(InputError, match=r"^point 7 is \[.*finite; leave it out$"):
        clouds.require_usable()


def test_a_cloud_without_points_is_refused(clouds: PointClouds) -> None:
    with pytest.raises(InputError, match=r"^cloud 2 has no points: leave it out$"):
        PointClouds(clouds.coordinates, clouds.features, clouds.cloud, 3).require_usable()
    nothing = torch.zeros(0, 3)
    for n_clouds in (0, 1):
        with pytest.raises(InputError, match=r"^cloud 0 has no points"):
            PointClouds(nothing, nothing, nothing[:, 0].long(), n_clouds).require_usable()


def test_another_number_of_features_is_refused(clouds: PointClouds) -> None:
    with pytest.raises(InputError, match=r"^points with 4 features for a network of in_channels 9: give the space"):
        clouds.require_features(9)
