import pytest
import torch

from nas.data import DataOptions
from nas.data.images.partition import partition
from search_spaces.errors import InputError


def files(examples) -> set[bytes]:
    return {examples.read(i) for i in range(len(examples))}


def test_parts_cut_from_one_file_are_disjoint_complete_and_stratified(write_parquet):
    path = write_parquet("a.parquet", [i % 4 for i in range(200)])
    parts, notes = partition(DataOptions(str(path), validation_fraction=0.25))
    assert {part: len(examples) for part, examples in parts.items()} == {"train": 120, "validation": 40, "test": 40}
    assert len(set.union(*map(files, parts.values()))) == 200
    for examples in parts.values():
        assert len(set(torch.bincount(examples.labels).tolist())) == 1
    assert "no test part, so 40 images (20% of each class)" in notes[0]


def test_the_seed_moves_the_validation_part_but_never_the_test_part(write_parquet):
    path = str(write_parquet("a.parquet", [i % 2 for i in range(100)]))
    first, same, other = (partition(DataOptions(path, split_seed=seed)).examples for seed in (0, 0, 1))
    assert files(first["validation"]) == files(same["validation"])
    assert files(first["validation"]) != files(other["validation"])
    assert files(first["test"]) == files(other["test"])


def test_own_parts_are_used_as_they_are(write_folder, tmp_path):
    for i, part in enumerate(("train", "val", "test")):
        write_folder(f"pets/{part}", ["cat", "dog"], i + 1, first_seed=100 * i)
    parts, notes = partition(DataOptions(str(tmp_path / "pets")))
    assert [len(examples) for examples in parts.values()] == [2, 4, 6]
    assert "own validation part" in notes[0]


def test_a_test_source_goes_before_the_own_test_part(write_parquet, tmp_path):
    for i, name in enumerate(("set/train.parquet", "set/test.parquet", "more.parquet")):
        write_parquet(name, [0, 1] * 5 * (i + 1), first_seed=100 * i)
    options = DataOptions(str(tmp_path / "set"), test_source=str(tmp_path / "more.parquet"))
    assert len(partition(options).examples["test"]) == 30


def test_the_test_part_of_a_test_source_is_taken(write_parquet, tmp_path):
    path = write_parquet("a.parquet", [0, 1] * 5)
    for i, name in enumerate(("set/train.parquet", "set/test.parquet")):
        write_parquet(name, [0, 1] * 5 * (i + 1), first_seed=100 * i)
    assert len(partition(DataOptions(str(path), test_source=str(tmp_path / "set"))).examples["test"]) == 20


def test_an_ambiguous_test_source_is_told(write_parquet, tmp_path):
    path = write_parquet("a.parquet", [0, 1] * 5)
    for name in ("set/train.parquet", "set/val.parquet"):
        write_parquet(name, [0, 1])
    with pytest.raises(InputError, match="has the parts train, validation: give the file or folder"):
        partition(DataOptions(str(path), test_source=str(tmp_path / "set")))


def test_test_labels_are_matched_by_class_name(write_parquet):
    train = write_parquet("a.parquet", [0, 1] * 5, names=["cat", "dog"])
    test = write_parquet("b.parquet", [0, 1, 1], names=["dog", "cat"], first_seed=50)
    examples = partition(DataOptions(str(train), test_source=str(test))).examples["test"]
    assert examples.classes == ("cat", "dog")
    assert examples.labels.tolist() == [1, 0, 0]


def test_parts_of_other_classes_are_told(write_parquet):
    train = write_parquet("a.parquet", [0, 1, 2] * 5, names=["cat", "cow", "dog"])
    test = write_parquet("b.parquet", [0, 1], names=["cat", "emu"])
    with pytest.raises(InputError, match="missing cow, dog, not known emu"):
        partition(DataOptions(str(train), test_source=str(test)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0] * 9, "has one class, '0': expected two or more"), ([0, 0, 0, 1, 1], r"\('1' has 2\): expected 3 or more")],
)
def test_too_little_to_split_is_told(write_parquet, labels, message):
    with pytest.raises(InputError, match=message):
        partition(DataOptions(str(write_parquet("a.parquet", labels))))


def test_an_empty_class_folder_is_told(write_folder, tmp_path):
    for i, part in enumerate(("train", "val", "test")):
        write_folder(f"pets/{part}", ["cat", "dog"], 1, first_seed=10 * i)
        (tmp_path / "pets" / part / "emu").mkdir()
    with pytest.raises(InputError, match="'emu' has 0"):
        partition(DataOptions(str(tmp_path / "pets")))


def test_a_source_without_training_images_is_told(write_parquet, tmp_path):
    write_parquet("set/test.parquet", [0, 1])
    with pytest.raises(InputError, match="only the parts test: expected a train part"):
        partition(DataOptions(str(tmp_path / "set")))
