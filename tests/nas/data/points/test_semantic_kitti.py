import re

import numpy as np
import pytest

from nas.data.dataset import IGNORED
from nas.data.points.semantic_kitti import CLASSES, class_numbers, find_kitti_frames
from search_spaces.errors import InputError

# the published learning map, raw id to class with 0 for none, as in the configuration of SemanticKITTI's tools
PUBLISHED = {
    **{0: 0, 1: 0, 10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 31: 7, 32: 8, 40: 9, 44: 10, 48: 11, 49: 12},
    **{50: 13, 51: 14, 52: 0, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19, 99: 0},
    **{252: 1, 253: 7, 254: 6, 255: 8, 256: 5, 257: 5, 258: 4, 259: 5},
}


def starting(path: object) -> str:
    return f"^{re.escape(str(path))}"


def test_raw_ids_become_the_published_classes() -> None:
    numbers = class_numbers(np.array(list(PUBLISHED)), "a.label")
    assert numbers.tolist() == [number - 1 if number else IGNORED for number in PUBLISHED.values()]
    assert len(CLASSES) == max(PUBLISHED.values()) == 19


def test_the_instance_of_a_label_is_no_matter() -> None:
    raw = np.array([40, 10, 252], np.uint32)
    instances = raw | (np.array([1, 77, 65535], np.uint32) << np.uint32(16))
    assert np.array_equal(class_numbers(instances, "a.label"), class_numbers(raw, "a.label"))


def test_unknown_raw_ids_are_refused() -> None:
    with pytest.raises(InputError, match=r"^a\.label has the label 12, .*\(2 such ids, 3 points\): map it to one"):
        class_numbers(np.array([40, 12, 12, 300]), "a.label")


def test_minus_one_is_no_label_and_other_negative_ones_are_refused() -> None:
    assert class_numbers(np.array([-1, 40]), "a.label").tolist() == [IGNORED, CLASSES.index("road")]
    with pytest.raises(InputError, match=r"^a\.label has the label -2: expected SemanticKITTI's raw ids, or -1"):
        class_numbers(np.array([-1, -2, 40]), "a.label")


def test_a_folder_with_points_and_labels(write_scan) -> None:
    second, first = write_scan("drive", "000001"), write_scan("drive", "000000")
    frames, notes = find_kitti_frames(first.parents[1])
    assert [frame.place for frame in frames] == [str(first), str(second)]
    assert notes == ()
    cloud = frames[1].read()
    assert np.array_equal(cloud.points, np.fromfile(second, "<f4").reshape(-1, 4))
    road, sidewalk, car = (CLASSES.index(name) for name in ("road", "sidewalk", "car"))
    assert cloud.labels[:4].tolist() == [road, sidewalk, car, IGNORED]


def test_sequences_without_labels_are_left_out_and_told(write_scan, tmp_path) -> None:
    write_scan("sequences/00", "000000")
    (tmp_path / "sequences" / "11" / "velodyne").mkdir(parents=True)
    frames, notes = find_kitti_frames(tmp_path)
    assert [frame.sequence for frame in frames] == ["00"]
    assert notes == ("has sequences without labels, which are left out: 11",)


def test_labels_without_scans_are_left_out_and_told(write_scan, tmp_path) -> None:
    kept, missing = (write_scan("sequences/00", name) for name in ("000000", "000001"))
    missing.unlink()
    label = missing.parents[1] / "labels" / "000001.label"
    unused = f"has files of labels without a scan, which are left out: {label} (1 in all)"
    frames, notes = find_kitti_frames(kept.parents[1])
    assert ([frame.place for frame in frames], notes) == ([str(kept)], (unused,))
    (tmp_path / "sequences" / "01" / "labels").mkdir(parents=True)
    frames, notes = find_kitti_frames(tmp_path)
    assert [frame.place for frame in frames] == [str(kept)]
    assert notes == ("has sequences without scans, which are left out: 01", unused)


def test_sequences_that_all_lack_labels_are_refused(tmp_path) -> None:
    (tmp_path / "sequences" / "11" / "velodyne").mkdir(parents=True)
    with pytest.raises(InputError, match="has no sequence with velodyne/ and labels/"):
        find_kitti_frames(tmp_path)


def test_truncated_points_are_refused(write_scan) -> None:
    path = write_scan("drive", "000000")
    path.write_bytes(path.read_bytes()[:-3])
    (frame,), _ = find_kitti_frames(path.parents[1])
    with pytest.raises(InputError, match=starting(path) + r" is truncated: 957 bytes are no multiple of 16.*again$"):
        frame.read()


def test_labels_of_another_length_are_refused(write_scan) -> None:
    path = write_scan("drive", "000000", raw=np.full(59, 40))
    (frame,), _ = find_kitti_frames(path.parents[1])
    with pytest.raises(InputError, match=starting(path) + r" \(labels: .*000000\.label\) has 60 points but 59 labels"):
        frame.read()


def test_truncated_labels_are_refused(write_scan) -> None:
    path = write_scan("drive", "000000")
    labels = path.parents[1] / "labels" / "000000.label"
    labels.write_bytes(labels.read_bytes()[:-1])
    (frame,), _ = find_kitti_frames(path.parents[1])
    with pytest.raises(InputError, match=starting(labels) + " is truncated: 239 bytes"):
        frame.read()


def test_a_scan_without_labels_is_refused(write_scan) -> None:
    path = write_scan("drive", "000000")
    (path.parents[1] / "labels" / "000000.label").rename(path.parents[1] / "labels" / "000001.label")
    with pytest.raises(InputError, match=starting(path) + r" has no labels \(1 scans\): expected .*000000\.label$"):
        find_kitti_frames(path.parents[1])


def test_an_empty_folder_is_refused(tmp_path) -> None:
    (tmp_path / "velodyne").mkdir()
    with pytest.raises(InputError, match=r"velodyne holds no \.bin files"):
        find_kitti_frames(tmp_path)


def test_a_file_that_vanished_is_told(write_scan) -> None:
    path = write_scan("drive", "000000")
    (frame,), _ = find_kitti_frames(path.parents[1])
    path.unlink()
    with pytest.raises(InputError, match=starting(path) + " cannot be read"):
        frame.read()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint32"])
def test_raw_labels_may_be_of_any_integer_type(dtype: str) -> None:
    assert class_numbers(np.array([40, 10, 0], dtype), "frame").tolist() == [8, 0, -1]
