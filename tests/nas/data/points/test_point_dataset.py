import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data import Augmentation, DataOptions, load_data
from nas.data.points.dataset import ObjectDataset, PointDataset
from nas.data.points.numpy_files import find_numpy_frames
from search_spaces.errors import InputError

CPU = torch.device("cpu")


def load(source: Path | str, **options: object) -> PointDataset:
    data = load_data(DataOptions(source=str(source), **options))
    assert isinstance(data, PointDataset)
    return data


@pytest.fixture
def folder(write_npz) -> Path:
    for number in range(6):
        path = write_npz(f"clouds/{number}.npz", seed=number)
    return path.parent


@pytest.fixture
def frame(write_npz, random_points) -> Path:
    return write_npz("frame.npz", points=random_points(20_000), labels=np.resize([40, 48, 10, 0], 20_000))


def contents(part) -> list[bytes]:
    return [part[i].digest() for i in range(len(part))]


def test_frames_are_divided(folder) -> None:
    data = load(folder)
    parts = [contents(part) for part in (data.train, data.validation, data.read_test())]
    assert list(map(len, parts)) == [4, 1, 1]
    assert len({digest for part in parts for digest in part}) == 6
    assert len(data.classes) == 19
    assert data.space_options() == {"n_classes": 19, "in_channels": 4, "task": "segmentation"}
    assert any("has no test part" in note for note in data.notes)
    assert any("has no point of bicycle" in note and "mean_iou counts them as 1" in note for note in data.notes)


def test_one_frame_is_cut_into_tiles_and_said_to_be_one(frame) -> None:
    data = load(frame, tile_metres=4)
    assert "is one frame, cut into tiles of 4 m" in data.notes[0]
    points = [part[i].points for part in (data.train, data.validation, data.read_test()) for i in range(len(part))]
    assert len(np.unique(np.concatenate(points), axis=0)) == sum(map(len, points)) == 20_000
    assert load(frame).options.tile_metres == 12


def test_tiles_with_few_points_are_left_out_and_told(write_npz, random_points) -> None:
    far = np.array([100, 0, 0, 0], np.float32)
    points = np.concatenate([random_points(20_000), random_points(50) + far])
    data = load(write_npz(points=points, labels=np.full(20_050, 40)), tile_metres=5)
    assert any(
        "tiles with too few points or no labelled one" in note and "with 50 points" in note for note in data.notes
    )


def test_clouds_need_not_fit_into_memory(folder, frame) -> None:
    for source, tile in ((folder, None), (frame, 4)):
        held, read = load(source, tile_metres=tile), load(source, tile_metres=tile, memory_gb=0)
        assert contents(held.train) == contents(read.train)
        assert held.fingerprint == read.fingerprint


def test_the_fingerprint_is_that_of_clouds_and_split(folder, write_npz) -> None:
    first = load(folder).fingerprint
    assert load(folder, max_points=9).fingerprint == first
    assert load(folder, split_seed=1).fingerprint != first
    write_npz("clouds/0.npz", seed=99)
    assert load(folder).fingerprint != first


def test_batches_join_clouds_and_keep_their_order(folder) -> None:
    data = load(folder)
    clouds, labels = data.batch(data.train, torch.tensor([2, 0]), CPU)
    assert clouds.n_clouds == 2
    assert clouds.cloud.tolist() == [0] * 60 + [1] * 60
    assert np.array_equal(clouds.features[:60].numpy(), data.train[2].points)
    assert np.array_equal(labels[60:].numpy(), data.train[0].labels)
    assert torch.equal(clouds.coordinates, clouds.features[:, :3])
    assert (labels.dtype, clouds.features.dtype) == (torch.int64, torch.float32)


def test_training_batches_follow_their_seed_and_have_no_more_points_than_asked(folder) -> None:
    data = dataclasses.replace(load(folder), options=DataOptions(source=str(folder), max_points=25))
    first, again, other = (
        data.augmented(torch.tensor([0, 1]), CPU, Augmentation(), torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert first[0].cloud.bincount().tolist() == [25, 25]
    assert len(first[1]) == 50
    assert torch.equal(first[0].features, again[0].features)
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0].features, other[0].features)


def test_every_training_cloud_keeps_a_labelled_point(write_npz) -> None:
    """One of sixty points has a label: without it, the loss of a batch would be none."""
    for number in range(3):
        write_npz(f"sparse/{number}.npz", seed=number, labels=np.resize([40, *[0] * 59], 60))
    data = load(write_npz("sparse/3.npz", seed=3).parent, max_points=2)
    for seed in range(20):
        clouds, labels = data.augmented(
            torch.arange(len(data.train)), CPU, Augmentation(), torch.Generator().manual_seed(seed)
        )
        assert all((labels[clouds.cloud == number] >= 0).any() for number in range(clouds.n_clouds))


def test_points_and_labels_stay_together_when_varied(folder) -> None:
    data = load(folder)
    still = Augmentation(rotation=0, scale=0, flip=False)
    clouds, labels = data.augmented(torch.tensor([3]), CPU, still, torch.Generator())
    assert np.array_equal(clouds.features.numpy(), data.train[3].points)
    assert np.array_equal(labels.numpy(), data.train[3].labels)


def test_a_bad_frame_stops_or_is_left_out(folder, write_npz) -> None:
    bad = write_npz("clouds/9.npz", labels=np.zeros(60, int))
    with pytest.raises(InputError, match=r"9\.npz has no labelled point: .*or leave out such clouds with --data\.skip"):
        load(folder)
    data = load(folder, skip_corrupt=True)
    assert len(data.skipped) == 1
    assert data.skipped[0].startswith(str(bad))


def test_nothing_usable_is_refused(write_npz) -> None:
    path = write_npz(labels=np.zeros(60, int))
    with pytest.raises(InputError, match=r"has no usable cloud, of 1 frames: .*npz has no labelled point"):
        load(path, skip_corrupt=True)


def test_tiles_that_are_all_too_small_are_told_of_the_data_they_are_of(folder, frame) -> None:
    reason = r"tiles of 4 m have fewer than 100 points or no labelled one; raise --data\.tile-metres"
    with pytest.raises(InputError, match=rf"^clouds has no usable cloud, of 6 frames: all \d+ {reason}"):
        load(folder, tile_metres=4)
    with pytest.raises(InputError, match=rf"^{re.escape(str(folder))} has no usable cloud, of 6 frames: .*{reason}"):
        load(frame, tile_metres=4, test_source=str(folder))


def test_separate_test_data_are_used(folder, write_npz) -> None:
    other = write_npz("other/a.npz", seed=77)
    data = load(folder, test_source=str(other.parent))
    assert len(data.train) + len(data.validation) == 6
    assert len(data.read_test()) == 1


def test_test_data_of_other_classes_or_all_trained_on_are_refused(folder, write_npz) -> None:
    named = write_npz("named.npz", classes=["x", "y"], labels=np.resize([0, 1], 60))
    with pytest.raises(InputError, match=r"named\.npz have the classes x, y: expected those of the training data, car"):
        load(folder, test_source=str(named))
    with pytest.raises(InputError, match=r"all clouds of .* are also trained or validated on"):
        load(folder, test_source=str(folder))


def test_repeated_clouds_are_told(folder, write_npz) -> None:
    write_npz("other/a.npz", seed=77)
    repeated = write_npz("other/b.npz", seed=0)
    assert any("has 1 test clouds that are also" in n for n in load(folder, test_source=str(repeated.parent)).notes)


def test_synthetic_scenes_load() -> None:
    data = load("synthetic_scenes", n_scenes=3)
    assert data.name == "synthetic_scenes"
    assert "is synthetic" in data.notes[0]
    assert len(data.classes) == data.space_options()["n_classes"] == 8


def test_an_example_goes_into_a_bundle(folder, tmp_path) -> None:
    data = load(folder)
    data.write_example(tmp_path)
    example = np.load(tmp_path / "example.npz")
    assert np.array_equal(example["points"], data.validation[0].points)
    assert tuple(example["classes"]) == data.classes == tuple(data.describe()["classes"])


def test_a_number_of_scenes_is_refused_where_none_are_made(frame: Path) -> None:
    with pytest.raises(InputError, match="n_scenes 7 is of synthetic_scenes and synthetic_objects, not of frame"):
        load_data(DataOptions(str(frame), n_scenes=7))


@pytest.fixture
def objects(write_npz) -> Path:
    for number in range(8):
        path = write_npz(f"objects/{number}.npz", seed=number, labels=None, label=number % 2, classes=["x", "y"])
    return path.parent


def test_clouds_with_one_label_are_classified(objects) -> None:
    data = load(objects)
    assert isinstance(data, ObjectDataset)
    assert data.space_options()["task"] == data.describe()["task"] == "classification"
    assert data.metrics[0] == "accuracy"
    clouds, labels = data.batch(data.train, torch.arange(3), CPU)
    assert (clouds.n_clouds, labels.tolist()) == (3, [int(data.train[i].labels[0]) for i in range(3)])
    thin = dataclasses.replace(data, options=dataclasses.replace(data.options, max_points=20))
    clouds, labels = thin.augmented(torch.arange(3), CPU, Augmentation(), torch.Generator())
    assert (len(clouds), len(labels)) == (60, 3)


def test_an_example_with_one_label_can_be_loaded_again(objects, tmp_path) -> None:
    data = load(objects)
    (tmp_path / "bundle").mkdir()
    data.write_example(tmp_path / "bundle")
    (frame,) = find_numpy_frames([tmp_path / "bundle/example.npz"])
    assert frame.read().digest() == data.validation[0].digest()


def test_clouds_with_one_label_are_not_cut(objects) -> None:
    with pytest.raises(InputError, match="tile_metres 4 cuts clouds, but those of objects are labelled as wholes"):
        load(objects, tile_metres=4)


def test_test_data_are_labelled_as_the_others_are(objects, write_npz) -> None:
    path = write_npz("points.npz", classes=["x", "y"], labels=np.resize([0, 1], 60))
    with pytest.raises(InputError, match=r"points\.npz have a label a point, those trained on one label"):
        load(objects, test_source=str(path))


def test_synthetic_objects_load() -> None:
    data = load("synthetic_objects", n_scenes=30)
    assert "is synthetic" in data.notes[0]
    assert {int(data.train[i].labels[0]) for i in range(len(data.train))} == set(range(len(data.classes)))
