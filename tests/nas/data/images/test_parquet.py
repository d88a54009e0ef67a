import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nas.data.images import parquet
from nas.data.images.parquet import read_parquet
from search_spaces.errors import InputError


def test_rows_of_several_files_follow_each_other(write_parquet, image, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 2)
    first, second = write_parquet("a.parquet", [0, 1, 0, 1, 2]), write_parquet("b.parquet", [2, 1, 0], first_seed=5)
    examples = read_parquet([first, second])
    assert examples.labels.tolist() == [0, 1, 0, 1, 2, 2, 1, 0]
    assert [examples.read(i) for i in range(8)] == [image(seed) for seed in range(8)]
    assert examples.place(4) == f"{first} row 4 (the first is row 0)"
    assert examples.place(6) == f"{second} row 1 (the first is row 0)"


def test_classes_are_named_by_the_metadata(write_parquet):
    path = write_parquet("a.parquet", [1, 0, 1], names=["cat", "dog"])
    assert read_parquet([path]).classes == ("cat", "dog")


def test_without_metadata_classes_are_numbers_in_their_order(write_parquet):
    examples = read_parquet([write_parquet("a.parquet", [10, 9, 2, 10])])
    assert examples.classes == ("2", "9", "10")
    assert examples.labels.tolist() == [2, 1, 0, 2]


def test_only_classes_that_occur_are_classes(write_parquet):
    examples = read_parquet([write_parquet("a.parquet", [2, 0], names=["cat", "cow", "dog"])])
    assert examples.classes == ("cat", "dog")
    assert examples.labels.tolist() == [1, 0]


def test_a_label_without_a_name_is_told(write_parquet):
    with pytest.raises(InputError, match="label 2, but its metadata names only 2 classes"):
        read_parquet([write_parquet("a.parquet", [0, 2], names=["cat", "dog"])])


def test_the_columns_may_have_the_other_usual_names(write_parquet):
    path = write_parquet("a.parquet", [0, 1], names=["cat", "dog"], columns=("img", "fine_label"))
    assert read_parquet([path]).classes == ("cat", "dog")


@pytest.mark.parametrize("label", [None, -1])
def test_unlabelled_rows_are_named(write_parquet, label, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 2)
    with pytest.raises(InputError, match=r"a\.parquet row 3 has no label"):
        read_parquet([write_parquet("a.parquet", [0, 1, 0, label, 1])])


def test_a_missing_image_reads_as_an_empty_file(write_parquet):
    path = write_parquet("a.parquet", [0, 1], files=[None, None])
    assert read_parquet([path]).read(1) == b""


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"image": [{"bytes": b"", "path": ""}], "target": [1]}),
        pa.table({"image": [b""], "label": [1]}),
        pa.table({"image": [{"path": ""}], "label": [1]}),
        pa.table({"image": [{"bytes": b"", "path": ""}], "label": ["cat"]}),
    ],
)
def test_other_columns_are_named(table, tmp_path):
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"has columns image: .*: expected image: struct"):
        read_parquet([tmp_path / "a.parquet"])


def test_a_file_without_rows_is_told(write_parquet):
    with pytest.raises(InputError, match="holds no rows"):
        read_parquet([write_parquet("a.parquet", [])])


@pytest.mark.parametrize("damage", ["cut short", "garbled", "empty"])
def test_a_damaged_file_is_told_in_one_line(write_parquet, damage):
    path = write_parquet("a.parquet", [0, 1] * 20)
    content = path.read_bytes()
    middle = len(content) // 2
    garbled = content[:4] + bytes(200) + content[204:]
    path.write_bytes({"cut short": content[:middle], "garbled": garbled, "empty": b""}[damage])
    with pytest.raises(InputError, match="is not a whole Parquet file") as caught:
        read_parquet([path])
    assert "\n" not in str(caught.value)
