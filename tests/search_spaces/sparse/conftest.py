"""Clouds of points, and what each operation is when it is written out."""

import pytest
import torch
from torch import Tensor

from search_spaces.points import PointClouds


def cloud_of(*frames: Tensor, features: int = 4) -> PointClouds:
    """Return frames of points (points, 3) as one batch, with random features that each frame has also alone."""
    generator = torch.Generator().manual_seed(len(frames[0]))
    values = [torch.randn(len(frame), features, generator=generator.manual_seed(len(frame))) for frame in frames]
    number = torch.repeat_interleave(torch.arange(len(frames)), torch.tensor([len(frame) for frame in frames]))
    return PointClouds(torch.cat(frames), torch.cat(values), number, len(frames))


def scene(n_points: int, seed: int = 0, metres: float = 2.0) -> Tensor:
    """Return points (points, 3) on a plane and around a pole, on both sides of the origin."""
    generator = torch.Generator().manual_seed(seed)
    points = (torch.rand(n_points, 3, generator=generator) - 0.5) * metres
    points[: n_points // 2, 2] *= 0.1
    points[n_points // 2 :, :2] *= 0.2
    return points


@pytest.fixture
def clouds() -> PointClouds:
    return cloud_of(scene(200), scene(150, 1))
