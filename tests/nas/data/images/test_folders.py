import pytest

from nas.data.images.folders import read_class_folders
from search_spaces.errors import InputError


def test_subfolders_are_classes_by_name(write_folder):
    folder = write_folder("pets", ["dog", "cat"], 3)
    examples = read_class_folders(folder)
    assert examples.classes == ("cat", "dog")
    assert examples.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert examples.place(4) == str(folder / "dog" / "001.png")
    assert examples.read(4) == (folder / "dog" / "001.png").read_bytes()


def test_images_may_lie_deeper_and_other_files_are_no_matter(write_folder, image):
    folder = write_folder("pets", ["cat", "dog"], 1)
    (folder / "cat" / "images").mkdir()
    (folder / "cat" / "images" / "x.JPEG").write_bytes(image(1, kind="JPEG"))
    (folder / "cat" / "boxes.txt").write_text("0 0 1 1")
    (folder / "cat" / "._000.png").write_text("left behind by a file manager")
    (folder / ".cache").mkdir()
    assert read_class_folders(folder).labels.tolist() == [0, 0, 1]


def test_a_folder_without_images_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        InputError,
        match=r"holds neither Parquet files nor class folders .* nor point clouds \(\.npz files, or velodyne/",
    ):
        read_class_folders(tmp_path)
