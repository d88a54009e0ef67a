import logging
import os
from dataclasses import replace

import pytest
import torch

from nas.data import DataOptions, load_data
from nas.data.images import decoding
from nas.data.images.decoding import decode
from search_spaces.errors import InputError


def everything(images):
    return images[torch.arange(len(images))]


def test_digits_load_whole_and_ready():
    data = load_data(DataOptions("digits", image_size=16, channels=1))
    test = data.read_test()
    assert data.name == "digits"
    assert data.classes == tuple("0123456789")
    assert not data.flip
    assert len(data.train) + len(data.validation) + len(test) == 1797
    assert data.train[torch.tensor([0, 5])].shape == (2, 1, 16, 16)
    assert data.train.labels.dtype == torch.int64
    torch.testing.assert_close(everything(data.train).double().mean() / 255, torch.tensor(data.mean[0]).double())
    assert len(repr(data)) < 1000


@pytest.fixture
def options(write_parquet) -> DataOptions:
    return DataOptions(str(write_parquet("noise.parquet", [0, 1] * 20)), image_size=8)


def test_no_image_is_in_two_parts(options):
    data = load_data(options)
    parts = [everything(images) for images in (data.train, data.validation, data.read_test())]
    assert len(torch.cat(parts).unique(dim=0)) == sum(map(len, parts)) == 40
    assert data.flip


def test_test_images_are_decoded_only_when_read(options, monkeypatch):
    decoded = []
    data = load_data(options)
    monkeypatch.setattr(decoding, "decode", lambda file, form: decoded.append(file) or decode(file, form))
    everything(data.train)
    everything(data.validation)
    assert not decoded
    assert len(data.read_test()) == len(decoded) == 8


def test_the_same_images_come_from_memory_and_on_demand(options):
    kept, lazy = load_data(options), load_data(replace(options, memory_gb=0))
    assert isinstance(kept.train.pixels, torch.Tensor)
    assert not isinstance(lazy.train.pixels, torch.Tensor)
    for one, other in ((kept.train, lazy.train), (kept.read_test(), lazy.read_test())):
        assert torch.equal(everything(one), everything(other))
        assert torch.equal(one.labels, other.labels)


def test_the_fingerprint_is_of_content_and_split_not_of_names(options, write_parquet):
    first = load_data(options)
    assert load_data(options).fingerprint == first.fingerprint
    moved = write_parquet("elsewhere/copy.parquet", [0, 1] * 20)
    assert load_data(replace(options, source=str(moved))).fingerprint == first.fingerprint


@pytest.mark.parametrize(
    "change", [{"split_seed": 1}, {"validation_fraction": 0.2}, {"image_size": 9}, {"channels": 1}], ids=str
)
def test_the_fingerprint_changes_with_the_options(options, change):
    assert load_data(replace(options, **change)).fingerprint != load_data(options).fingerprint


@pytest.mark.parametrize(("labels", "first_seed"), [([1, 0] * 20, 0), ([0, 1] * 20, 1)])
def test_the_fingerprint_changes_with_labels_and_images(options, write_parquet, labels, first_seed):
    other = write_parquet("other.parquet", labels, first_seed=first_seed)
    assert load_data(replace(options, source=str(other))).fingerprint != load_data(options).fingerprint


@pytest.fixture
def damaged(write_parquet, image) -> DataOptions:
    files = [image(seed) for seed in range(40)]
    files[7], files[23] = b"", files[23][:70]
    return DataOptions(str(write_parquet("damaged.parquet", [0, 1] * 20, files=files)), image_size=8)


def test_corrupt_images_are_told_with_their_place_and_the_way_out(damaged):
    with pytest.raises(InputError, match=r"damaged\.parquet row \d+ .*cannot be decoded.*and 1 more.*skip-corrupt"):
        load_data(damaged)


@pytest.mark.parametrize("memory_gb", [0, 1])
def test_corrupt_images_are_left_out_when_asked(damaged, memory_gb):
    data = load_data(replace(damaged, skip_corrupt=True, memory_gb=memory_gb))
    assert len(data.train) + len(data.validation) + len(data.read_test()) == 38
    assert sorted(place.split(" (")[0].rsplit(" ", 1)[1] for place in data.skipped) == ["23", "7"]
    assert len(everything(data.train)) == len(data.train)


def test_a_corrupt_test_image_is_told_at_once(write_parquet, options):
    test = write_parquet("test.parquet", [0, 1], files=[b"", b""])
    with pytest.raises(InputError, match=r"test\.parquet row 0"):
        load_data(replace(options, test_source=str(test)))
    with pytest.raises(InputError, match="no readable image of class '0' is in the test part"):
        load_data(replace(options, test_source=str(test), skip_corrupt=True))


def test_a_test_part_cut_from_the_data_is_said_so(options, caplog):
    with caplog.at_level(logging.WARNING):
        data = load_data(options)
    assert "has no test part" in data.notes[0]
    assert "noise has no test part" in caplog.text


def test_images_in_two_parts_are_said_so(options, write_parquet):
    test = write_parquet("test.parquet", [0, 1] * 2, first_seed=38)
    notes = load_data(replace(options, test_source=str(test))).notes
    assert notes == ("has 2 test images that are also in an earlier part",)


def test_testing_on_images_trained_or_validated_on_is_refused(options, write_folder, tmp_path):
    with pytest.raises(InputError, match=r"all images of .*noise\.parquet are also trained or validated on"):
        load_data(replace(options, test_source=options.source))
    for i, part in enumerate(("train", "val")):
        write_folder(f"pets/{part}", ["cat", "dog"], 3, first_seed=100 * i)
    folder = tmp_path / "pets"
    with pytest.raises(InputError, match=r"all images of .*val are also trained or validated on"):
        load_data(DataOptions(str(folder), test_source=str(folder / "val")))


def test_changed_files_are_read_again(options) -> None:
    """Whoever mends the data within one process gets what they mended."""
    first = load_data(options)
    assert load_data(options) is first
    os.utime(options.source, (0, 0))
    assert load_data(options) is not first


def test_images_at_a_url_are_those_at_the_path_and_named_by_the_url(options) -> None:
    there = load_data(replace(options, source=f"file://{options.source}"))
    assert there.options == replace(load_data(options).options, source=f"file://{options.source}")
    assert (there.name, there.fingerprint) == (load_data(options).name, load_data(options).fingerprint)


def test_a_link_to_nothing_is_no_image(tmp_path, write_parquet) -> None:
    write_parquet("data/noise.parquet", [0, 1] * 20)
    (tmp_path / "data" / "gone").symlink_to(tmp_path / "nowhere")
    assert len(load_data(DataOptions(str(tmp_path / "data"), image_size=8)).classes) == 2
