import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional as F

from nas.data import Augmentation
from nas.data.images.augmentation import augment, normalise
from search_spaces.images import resize

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(4, 20)
crops = st.floats(0, 0.5)
formats = st.sampled_from([torch.contiguous_format, torch.channels_last])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(seeds, sides, crops, st.booleans(), st.integers(1, 5), st.sampled_from([1, 3]), formats)
def test_the_generator_decides_and_the_form_stays(seed, side, crop, flip, batch, channels, memory_format):
    images = torch.rand(batch, channels, side, side).contiguous(memory_format=memory_format)
    first, again = (augment(images, Augmentation(crop), flip, generator(seed)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == images.shape
    assert first.is_contiguous(memory_format=memory_format)


@given(seeds, st.integers(8, 20), st.booleans())
def test_a_constant_image_stays_so_in_the_middle_and_brings_zeros_from_outside(seed, side, flip):
    varied = augment(torch.ones(4, 3, side, side), Augmentation(0.25), flip, generator(seed))
    reach = round(0.25 * side)
    assert (varied[:, :, reach : side - reach, reach : side - reach] == 1).all()
    assert ((varied == 0) | (varied == 1)).all()


@given(seeds, sides, crops)
def test_every_result_is_a_window_of_the_padded_image_or_its_mirror_image(seed, side, crop):
    images = torch.rand(3, 1, side, side)
    reach = round(crop * side)
    varied = augment(images, Augmentation(crop), True, generator(seed))
    for image, result in zip(images, varied, strict=True):
        padded = F.pad(image, (reach,) * 4)
        windows = [padded[:, y : y + side, x : x + side] for y in range(2 * reach + 1) for x in range(2 * reach + 1)]
        assert any(torch.equal(result, window) or torch.equal(result, window.flip(2)) for window in windows)


@pytest.mark.parametrize(
    ("own", "data_set", "flips"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_flips_go_by_the_data_set_unless_said_otherwise(own, data_set, flips):
    images = torch.rand(64, 3, 8, 8)
    varied = augment(images, Augmentation(crop=0, flip=own), data_set, generator(0))
    unchanged = (varied == images).flatten(1).all(1)
    mirrored = (varied == images.flip(3)).flatten(1).all(1)
    assert (unchanged | mirrored).all()
    assert mirrored.any() == flips


def test_every_image_gets_its_own_shift():
    images = torch.arange(64.0).reshape(1, 1, 8, 8).repeat(200, 1, 1, 1)
    varied = augment(images, Augmentation(crop=0.125), False, generator(0))
    assert len(varied.unique(dim=0)) == 9


def test_a_shift_beyond_half_of_the_image_is_refused():
    with pytest.raises(ValidationError):
        Augmentation(crop=0.6)
    with pytest.raises(ValidationError):
        Augmentation(blur=10)


def test_normalised_images_have_zero_mean_and_unit_deviation():
    images = torch.randint(256, (50, 3, 8, 8), dtype=torch.uint8)
    scaled = images / 255
    mean, std = scaled.mean((0, 2, 3)).tolist(), scaled.std((0, 2, 3), correction=0).tolist()
    normal = normalise(images, mean, std, "cpu")
    assert normal.dtype == torch.float32
    torch.testing.assert_close(normal.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.std((0, 2, 3), correction=0), torch.ones(3))


@pytest.mark.parametrize("resolution", [4, 8, 11])
def test_images_are_resized_to_the_resolution(resolution):
    images = torch.full((2, 1, 8, 8), 51, dtype=torch.uint8)
    normal = resize(normalise(images, [0.1], [0.5], torch.device("cpu")), resolution)
    torch.testing.assert_close(normal, torch.full((2, 1, resolution, resolution), 0.2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_augments_as_the_cpu_does():
    images = torch.rand(16, 3, 32, 32)
    on_gpu = augment(images.cuda(), Augmentation(), True, generator(0))
    assert torch.equal(on_gpu.cpu(), augment(images, Augmentation(), True, generator(0)))
