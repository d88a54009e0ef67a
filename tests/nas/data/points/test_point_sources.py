import re

import pytest

from nas.data import DataOptions
from nas.data.points import synthetic_scenes
from nas.data.points.sources import find_frames, holds_points
from search_spaces.errors import InputError


def test_point_clouds_are_told_from_images(write_scan, write_npz, tmp_path) -> None:
    scan, archive = write_scan("drive", "000000"), write_npz("clouds/a.npz")
    write_scan("kitti/sequences/00", "000000")
    (tmp_path / "images" / "cats").mkdir(parents=True)
    (tmp_path / "a.parquet").touch()
    for source in (
        scan.parents[1],
        archive,
        archive.parent,
        tmp_path / "kitti",
        "synthetic_scenes",
        "synthetic_objects",
    ):
        assert holds_points(str(source)), source
    for source in (tmp_path / "images", tmp_path / "a.parquet", "digits"):
        assert not holds_points(str(source)), source


def test_a_folder_that_may_hold_either_is_refused(write_npz, tmp_path) -> None:
    write_npz("images/stray.npz")
    (tmp_path / "images" / ".cache").mkdir()
    assert holds_points(str(tmp_path / "images"))
    (tmp_path / "images" / "cats").mkdir()
    with pytest.raises(
        InputError, match=r"images may hold clouds \(stray.npz\) or images \(cats\): give each a folder"
    ):
        holds_points(str(tmp_path / "images"))


@pytest.mark.parametrize("part", ["sequences", "sequences/00/velodyne"])
def test_a_part_of_semantic_kittis_folder_is_no_source(write_scan, tmp_path, part) -> None:
    write_scan("sequences/00", "000000")
    above = re.escape(str((tmp_path / part).parent))
    with pytest.raises(InputError, match=f"is a part of SemanticKITTI's folder: give the one above it, {above}$"):
        holds_points(str(tmp_path / part))


def test_synthetic_scenes_are_called_so() -> None:
    found = find_frames("synthetic_scenes", DataOptions("synthetic_scenes", n_scenes=5))
    assert len(found.frames) == 5
    assert found.classes == synthetic_scenes.CLASSES
    assert found.notes == ("is synthetic: 5 generated road scenes under a simulated scanner, no recorded scans",)


def test_sequence_08_validates_and_the_ends_of_the_others_test(write_scan, tmp_path) -> None:
    for sequence, n_frames in {"00": 10, "07": 5, "08": 3}.items():
        for number in range(n_frames):
            write_scan(f"sequences/{sequence}", f"{number:06}")
    found = find_frames(str(tmp_path), DataOptions(str(tmp_path)))
    assert found.parts == ["train"] * 8 + ["test"] * 2 + ["train"] * 4 + ["test"] + ["validation"] * 3
    assert found.notes == ("is validated on sequence 08: neighbouring frames show nearly the same",)
    assert found.test_note == "is tested on the last 20% of every sequence"


def test_short_sequences_leave_the_test_part_open(write_scan, tmp_path) -> None:
    for sequence in ("00", "01", "08"):
        write_scan(f"sequences/{sequence}", "000000")
    assert find_frames(str(tmp_path), DataOptions(str(tmp_path))).parts == [None, None, "validation"]


@pytest.mark.parametrize("sequences", [["00", "01"], ["08"]])
def test_single_frames_leave_all_parts_open(write_scan, tmp_path, sequences) -> None:
    for sequence in sequences:
        write_scan(f"sequences/{sequence}", "000000")
    assert find_frames(str(tmp_path), DataOptions(str(tmp_path))).parts == [None] * len(sequences)


def test_without_sequence_08_the_ends_of_sequences_validate_and_test(write_scan, tmp_path) -> None:
    """Neighbouring frames are alike: none of them may be trained on while the next one tests."""
    for number in range(10):
        write_scan("sequences/03", f"{number:06}")
    found = find_frames(str(tmp_path), DataOptions(str(tmp_path), validation_fraction=0.4))
    assert found.parts == ["train"] * 5 + ["validation"] * 3 + ["test"] * 2
    assert "validated on the 40% of every sequence before its last 20%" in found.notes[0]


def test_what_holds_no_clouds_is_told(tmp_path) -> None:
    (tmp_path / "cats").mkdir()
    for source in (str(tmp_path), "digits"):
        with pytest.raises(InputError, match="no point clouds: expected synthetic_scenes, synthetic_objects, an"):
            find_frames(source, DataOptions(source))
