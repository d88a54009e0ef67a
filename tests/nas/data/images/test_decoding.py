import io

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.images.decoding import DecodedOnDemand, Form, UnreadableImage, decode
from nas.data.images.examples import Examples


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_8_bits_fit_either_number_of_channels(image, mode, channels):
    pixels = decode(image(0, mode), Form(channels, 8))
    assert pixels.shape == (channels, 8, 8)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


def test_cmyk_jpegs_fit(image):
    assert decode(image(0, "CMYK", kind="JPEG"), Form(3, 8)).shape == (3, 8, 8)


def test_a_palette_with_transparency_becomes_colour():
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    pixels = decode(encode(palette, transparency=b"\x00\xff"), Form(3, 8))
    assert (pixels == np.array([200, 100, 50])[:, None, None]).all()


def test_grey_is_repeated_into_three_channels(image):
    pixels = decode(image(0, "L"), Form(3, 10))
    assert (pixels == pixels[:1]).all()


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "LAB"])
def test_other_pixels_are_refused_by_name(mode):
    file = encode(Image.new(mode, (8, 8)), "TIFF")
    with pytest.raises(UnreadableImage, match=f"mode '{mode}', which does not fit 3 channels"):
        decode(file, Form(3, 8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_damaged_files_are_told(image, kind):
    file = image(0, size=(64, 64), kind=kind)
    for damaged in (b"", b"not an image", file[: len(file) // 2]):
        with pytest.raises(UnreadableImage, match="cannot be decoded"):
            decode(damaged, Form(3, 32))


def test_the_central_square_is_kept():
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 255
    assert (decode(encode(Image.fromarray(wide)), Form(3, 8)) == 255).all()


def test_an_image_of_the_right_size_is_untouched():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    assert (decode(encode(Image.fromarray(pixels)), Form(3, 9)) == pixels.transpose(2, 0, 1)).all()


def test_shrinking_averages_what_a_pixel_covers():
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = decode(encode(Image.fromarray(checks)), Form(1, 8))
    assert abs(pixels.astype(int) - 127).max() <= 2


def test_a_large_jpeg_looks_the_same_when_decoded_at_a_fraction():
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(ramp, (256, 256)).copy())
    jpeg, exact = decode(encode(image, "JPEG", quality=95), Form(1, 16)), decode(encode(image), Form(1, 16))
    assert abs(jpeg.astype(int) - exact.astype(int)).max() <= 3


class Noise:
    def __init__(self, files):
        self.files = files

    def read(self, row):
        return self.files[row]

    def place(self, row):
        return f"row {row}"


def test_images_decoded_on_demand_come_in_the_order_asked_for(image):
    files = [image(seed) for seed in range(6)]
    rows = torch.tensor([5, 3, 1])
    examples = Examples(("a", "b"), torch.zeros(3, dtype=torch.int64), rows, Noise(files))
    lazy = DecodedOnDemand(examples, Form(3, 8))
    batch = lazy[torch.tensor([2, 0, 2])]
    expected = [torch.from_numpy(decode(files[row], Form(3, 8))) for row in (1, 5, 1)]
    assert torch.equal(batch, torch.stack(expected))
    assert lazy[torch.tensor([], dtype=torch.int64)].shape == (0, 3, 8, 8)
