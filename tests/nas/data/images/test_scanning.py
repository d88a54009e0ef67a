from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.images.decoding import Form
from nas.data.images.folders import read_class_folders
from nas.data.images.scanning import scan


@pytest.fixture
def folder(write_folder) -> Path:
    return write_folder("pets", ["cat", "dog"], 40)


@pytest.mark.parametrize("keep", [True, False])
def test_unreadable_images_are_found_and_left_out(folder, keep):
    (folder / "cat" / "007.png").write_bytes(b"")
    (folder / "dog" / "000.png").write_bytes((folder / "dog" / "001.png").read_bytes()[:80])
    found = scan(read_class_folders(folder), Form(3, 8), keep, "pets")
    assert list(found.problems) == [7, 40]
    assert len(found.readable()) == len(found.images()) == 78
    assert found.images().labels.tolist() == [0] * 39 + [1] * 39


def test_a_file_that_vanished_is_unreadable(folder):
    examples = read_class_folders(folder)
    (folder / "cat" / "003.png").unlink()
    assert list(scan(examples, Form(3, 8), True, "pets").problems) == [3]


def test_kept_images_equal_those_decoded_on_demand(folder):
    (folder / "cat" / "007.png").write_bytes(b"")
    examples = read_class_folders(folder)
    kept, lazy = (scan(examples, Form(3, 8), keep, "pets").images() for keep in (True, False))
    positions = torch.tensor([0, 7, 77, 7])
    assert isinstance(kept.pixels, torch.Tensor)
    assert not isinstance(lazy.pixels, torch.Tensor)
    assert torch.equal(kept[positions], lazy[positions])


def test_mean_and_deviation_are_those_of_all_pixels(folder):
    (folder / "cat" / "007.png").write_bytes(b"")
    found = scan(read_class_folders(folder), Form(3, 8), True, "pets")
    pixels = found.images()[torch.arange(79)].numpy() / 255
    mean, std = found.mean_and_std()
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)))
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)))


def test_images_of_one_colour_have_a_deviation_to_divide_by(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.ppm").write_bytes(b"P6 4 4 255\n" + bytes([90]) * 48)
    _, std = scan(read_class_folders(tmp_path), Form(3, 4), True, "pets").mean_and_std()
    assert std == pytest.approx([1 / 255] * 3)


def test_equal_files_have_equal_digests(folder):
    (folder / "dog" / "000.png").write_bytes((folder / "cat" / "000.png").read_bytes())
    digests = scan(read_class_folders(folder), Form(3, 8), False, "pets").digests
    assert digests[0] == digests[40]
    assert len(set(digests)) == 79
