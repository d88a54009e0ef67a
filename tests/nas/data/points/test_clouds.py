import numpy as np
import pytest

from nas.data.dataset import IGNORED
from nas.data.points.clouds import LARGEST_COORDINATE, Cloud, checked, turned
from search_spaces.errors import InputError


def whole() -> tuple[np.ndarray, np.ndarray]:
    return np.ones((5, 4), np.float32), np.array([0, 1, IGNORED, 2, 1])


def test_a_whole_cloud_is_taken_as_it_is() -> None:
    points, labels = whole()
    cloud = checked(points, labels, "a.bin")
    assert np.array_equal(cloud.points, points)
    assert np.array_equal(cloud.labels, labels)
    assert cloud.histogram(4).tolist() == [1, 2, 1, 0]


def test_no_points_are_refused() -> None:
    with pytest.raises(InputError, match=r"^a\.bin has no points: leave it out$"):
        checked(np.empty((0, 4), np.float32), np.empty(0, np.int64), "a.bin")


def test_labels_of_another_length_are_refused() -> None:
    points, labels = whole()
    with pytest.raises(InputError, match=r"^a\.bin has 5 points but 4 labels: expected one label a point$"):
        checked(points, labels[1:], "a.bin")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(4))
def test_points_that_are_not_finite_are_refused(value: float, column: int) -> None:
    points, labels = whole()
    points[3, column] = value
    with pytest.raises(InputError, match=r"^a\.bin has a point that is not finite, number 3: .*remove all 1 such"):
        checked(points, labels, "a.bin")


@pytest.mark.parametrize("column", range(3))
def test_points_out_of_reach_are_refused(column: int) -> None:
    points, labels = whole()
    points[2, column] = -LARGEST_COORDINATE
    checked(points, labels, "a.bin")
    points[2, column] = -1.01 * LARGEST_COORDINATE
    with pytest.raises(InputError, match=r"^a\.bin has a point at \[.*1010.*\], beyond 1000 m: expected metres"):
        checked(points, labels, "a.bin")


def test_a_cloud_without_a_label_is_refused() -> None:
    points, labels = whole()
    with pytest.raises(InputError, match=r"^a\.bin has no labelled point: all 5 are of no class; leave it out$"):
        checked(points, np.full_like(labels, IGNORED), "a.bin")


def test_digests_tell_clouds_apart() -> None:
    points, labels = whole()
    cloud = Cloud(points, labels)
    assert cloud.digest() == Cloud(points.copy(), labels.copy()).digest()
    assert cloud.digest() != Cloud(points + 1, labels).digest()
    assert cloud.digest() != Cloud(points, labels[::-1].copy()).digest()


def test_a_quarter_turn_brings_x_to_y() -> None:
    points = np.array([[1, 0, 5, 0.3], [0, 2, 6, 0.4]])
    assert turned(points, np.pi / 2) == pytest.approx(np.array([[0, 1, 5, 0.3], [-2, 0, 6, 0.4]]), abs=1e-6)


def test_what_is_labelled_is_told_by_point_or_as_a_whole() -> None:
    points, labels = whole()
    assert Cloud(points, labels).labelled.tolist() == [True, True, False, True, True]
    assert Cloud(points, labels[:1], whole=True).labelled.all()
