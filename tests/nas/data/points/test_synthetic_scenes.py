import numpy as np
import pytest

from nas.data.points.synthetic_scenes import CLASSES, Box, Cylinder, Ellipsoid, Shape, SyntheticFrame, make_scene, scan


def off_surface(shape: Shape, points: np.ndarray) -> np.ndarray:
    """Return about how far each point (N, 3) is from a shape's surface."""
    local = points - np.array(shape.centre)
    if isinstance(shape, Box):
        beyond = np.abs(local) - np.array(shape.half_sizes)
        return np.abs(np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0))
    if isinstance(shape, Ellipsoid):
        return np.abs(np.linalg.norm(local / np.array(shape.half_sizes), axis=1) - 1) * max(shape.half_sizes)
    assert isinstance(shape, Cylinder)
    side = np.abs(np.linalg.norm(local[:, :2], axis=1) - shape.radius)
    return np.maximum(side, np.abs(local[:, 2]) - shape.half_height)


@pytest.mark.parametrize("seed", range(3))
def test_every_point_lies_on_a_surface_of_its_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = make_scene(rng)
    cloud = scan(shapes, rng, range_std=0.0)
    for label in np.unique(cloud.labels):
        points = cloud.points[cloud.labels == label, :3]
        distances = [off_surface(shape, points) for shape in shapes if shape.label == label]
        assert np.min(distances, axis=0).max() < 1e-2, CLASSES[label]


def test_nothing_stands_between_the_scanner_and_a_point() -> None:
    rng = np.random.default_rng(0)
    shapes = make_scene(rng)
    points = scan(shapes, rng, range_std=0.0).points[::7, :3]
    origin = np.array([0, 0, 1.73])
    distances = np.linalg.norm(points - origin, axis=1)
    directions = (points - origin) / distances[:, None]
    nearest = np.min([shape.hit(directions, origin) for shape in shapes], axis=0)
    assert np.abs(nearest - distances).max() < 0.5  # a ray that grazes an edge may pass it after rounding
    assert np.median(np.abs(nearest - distances)) < 1e-4


def test_the_same_number_is_the_same_scene() -> None:
    first, again, other = SyntheticFrame(3).read(), SyntheticFrame(3).read(), SyntheticFrame(4).read()
    assert first.digest() == again.digest() != other.digest()


def test_scans_look_like_scans() -> None:
    clouds = [SyntheticFrame(number).read() for number in range(5)]
    assert all(10_000 < len(cloud) <= 64 * 512 for cloud in clouds)
    assert all(np.isfinite(cloud.points).all() for cloud in clouds)
    assert all(((cloud.points[:, 3] >= 0) & (cloud.points[:, 3] <= 1)).all() for cloud in clouds)
    assert (np.sum([cloud.histogram(len(CLASSES)) for cloud in clouds], axis=0) > 50).all(), "every class occurs"
    assert all(abs(np.median(cloud.points[cloud.labels == 0, 2]) + 1.73) < 0.05 for cloud in clouds), (
        "the road is below"
    )


def test_places_say_that_they_are_synthetic() -> None:
    assert SyntheticFrame(7).place == "synthetic scene 7"
