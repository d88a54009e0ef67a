import pytest

from nas.data.images.sources import find_parts
from search_spaces.errors import InputError


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet"],
         {"train": 4, "test": 2}),
        (["plain_text/train/0000.parquet", "plain_text/test/0000.parquet"], {"train": 2, "test": 2}),
        (["cifar10-train.parquet", "cifar10-val.parquet", "cifar10_test.parquet"],
         {"train": 2, "validation": 2, "test": 2}),
        (["0000.parquet", "0001.parquet"], {"train": 4}),
        (["train.parquet", ".cache/test.parquet"], {"train": 2}),
        (["latest.parquet"], {"train": 2}),
    ],
)  # fmt: skip
def test_names_show_the_parts_of_a_parquet_folder(write_parquet, tmp_path, names, parts):
    for name in names:
        write_parquet(f"set/{name}", [0, 1])
    assert {part: len(read()) for part, read in find_parts(str(tmp_path / "set")).items()} == parts


def test_a_file_of_no_part_among_others_is_told(write_parquet, tmp_path):
    write_parquet("set/train.parquet", [0, 1])
    write_parquet("set/extra.parquet", [0, 1])
    with pytest.raises(InputError, match=r"extra\.parquet belongs to no part"):
        find_parts(str(tmp_path / "set"))


def test_a_file_is_one_part_whatever_its_name(write_parquet):
    assert list(find_parts(str(write_parquet("test.parquet", [0, 1])))) == ["train"]


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_folders_show_the_parts_of_an_image_folder(write_folder, tmp_path, name):
    for part in ("train", name, "test"):
        write_folder(f"pets/{part}", ["cat", "dog"], 1)
    assert set(find_parts(str(tmp_path / "pets"))) == {"train", "validation", "test"}


def test_a_class_may_have_the_name_of_a_part(write_folder):
    parts = find_parts(str(write_folder("vehicles", ["train", "ship"], 2)))
    assert parts["train"]().classes == ("ship", "train")


def test_a_missing_source_is_told_with_close_names(write_parquet):
    path = write_parquet("cifar10-train.parquet", [0, 1])
    with pytest.raises(InputError, match=r"'cifar10-tran\.parquet': did you mean cifar10-train\.parquet\?"):
        find_parts(str(path.with_name("cifar10-tran.parquet")))
    with pytest.raises(InputError, match="'digit': did you mean digits"):
        find_parts("digit")
    with pytest.raises(InputError, match="no such data source '/no/such/folder': there is no folder /no/such"):
        find_parts("/no/such/folder")
