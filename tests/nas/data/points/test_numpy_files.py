import re

import numpy as np
import pytest

from nas.data.points import semantic_kitti
from nas.data.points.numpy_files import find_numpy_frames
from search_spaces.errors import InputError


def test_labels_are_semantic_kittis_unless_classes_are_named(write_npz) -> None:
    raw, named = write_npz("a.npz"), write_npz("b.npz", classes=["x", "y"], labels=np.resize([0, 1, -1], 60))
    (frame,) = find_numpy_frames([raw])
    assert frame.classes == semantic_kitti.CLASSES
    assert frame.read().labels[0] == frame.classes.index("road")
    (frame,) = find_numpy_frames([named])
    assert frame.classes == ("x", "y")
    assert frame.read().labels[:3].tolist() == [0, 1, -1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": None}, r"has points float32 \(60, 4\): expected points \(N, 4\)"),
        ({"points": None}, r"has labels int64 \(60,\): expected points"),
        ({"points": np.zeros((60, 3), np.float32)}, r"has points float32 \(60, 3\), labels"),
        ({"points": np.zeros((60, 4), int)}, r"has points int64 \(60, 4\), labels"),
        ({"labels": np.zeros(60)}, r"labels float64 \(60,\): expected points"),
        ({"labels": np.zeros(59, int) + 40}, "has 60 points but 59 labels"),
        ({"labels": np.full(60, 12)}, "has the label 12, which SemanticKITTI does not have"),
        ({"classes": ["a", "b"]}, "has the label 40, but 2 classes: expected 0 to 1, or -1 for none"),
        ({"classes": ["a", "a"]}, "expected two or more different names"),
        ({"classes": ["a"]}, "expected two or more different names"),
        ({"points": np.full((60, 4), 1e300)}, "has a point that is not finite, number 0"),
        ({"points": np.empty((0, 4)), "labels": np.empty(0, int)}, "has no points"),
    ],
)
def test_files_that_are_no_clouds_are_refused(write_npz, arrays, message) -> None:
    path = write_npz(**arrays)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))} .*{message}"):
        find_numpy_frames([path])[0].read()


@pytest.mark.parametrize("keep", [0, 100, -30])
def test_truncated_files_are_refused(write_npz, keep) -> None:
    path = write_npz()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=f"^{re.escape(str(path))} is not a whole NumPy archive"):
        find_numpy_frames([path])[0].read()


@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: content.replace(b"NUMPY", b"numpy")])
def test_a_damaged_file_does_not_hide_the_classes_of_the_others(write_npz, damage) -> None:
    labels = np.resize([0, 1], 60)
    paths = [write_npz(name, classes=["x", "y"], labels=labels) for name in ("a.npz", "b.npz")]
    paths[0].write_bytes(damage(paths[0].read_bytes()))
    frames = find_numpy_frames(paths)
    assert frames[0].classes == ("x", "y")
    assert frames[1].read().labels.max() < 2
    with pytest.raises(InputError, match=r"a\.npz is not a whole NumPy archive"):
        frames[0].read()


def test_pickled_objects_are_not_loaded(write_npz) -> None:
    path = write_npz(points=np.array([{}], object))
    with pytest.raises(InputError, match=r"is not a whole NumPy archive .*allow_pickle"):
        find_numpy_frames([path])[0].read()


def test_a_single_array_is_no_archive(tmp_path) -> None:
    path = tmp_path / "cloud.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="is not a whole NumPy archive"):
        find_numpy_frames([path])[0].read()


def test_all_files_have_the_same_classes(write_npz) -> None:
    paths = [write_npz("a.npz", classes=["x", "y"]), write_npz("b.npz")]
    expected = r"b\.npz has the classes of SemanticKITTI and .*a\.npz has the classes x, y and a label a point"
    with pytest.raises(InputError, match=expected):
        find_numpy_frames(paths)


def write_object(write_npz, name="a.npz", label=1, **arrays):
    return write_npz(name, **{"labels": None, "label": label, "classes": ["x", "y"], **arrays})


def test_a_cloud_may_have_one_label(write_npz) -> None:
    (frame,) = find_numpy_frames([write_object(write_npz)])
    cloud = frame.read()
    assert (frame.whole, cloud.whole, cloud.labels.tolist(), len(cloud)) == (True, True, [1], 60)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"label": [1]}, r"label int64 \(1,\): expected points"),
        ({"label": 1.0}, r"label float64 \(\): expected points"),
        ({"label": 2}, "has the label 2, but 2 classes"),
        ({"label": -1}, "has no label: leave it out"),
        ({"points": None}, r"has label int64 \(\): expected points"),
    ],
)
def test_bad_labels_of_whole_clouds_are_refused(write_npz, arrays, message) -> None:
    path = write_object(write_npz, **arrays)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))} .*{message}"):
        find_numpy_frames([path])[0].read()


def test_a_label_without_classes_is_refused(write_npz) -> None:
    (frame,) = find_numpy_frames([write_object(write_npz, classes=None)])
    with pytest.raises(InputError, match="has a label of the whole cloud, but no classes"):
        frame.read()


def test_one_label_beside_a_label_a_point_is_refused(write_npz) -> None:
    (frame,) = find_numpy_frames([write_object(write_npz, labels=np.resize([0, 1], 60))])
    with pytest.raises(InputError, match="has both label, of the whole cloud, and labels, of points: leave one out"):
        frame.read()


def test_one_label_and_a_label_a_point_do_not_mix(write_npz) -> None:
    paths = [write_object(write_npz), write_npz("b.npz", classes=["x", "y"], labels=np.resize([0, 1], 60))]
    with pytest.raises(InputError, match=r"b\.npz has .* a label a point, but .*a\.npz has .* one label: expected the"):
        find_numpy_frames(paths)
