"""From image files to square uint8 pixels."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from nas.data.images.examples import Examples
from search_spaces.errors import InputError


class Form(NamedTuple):
    """What every image is brought to: 1 or 3 channels, and the side in pixels."""

    channels: int
    side: int


class UnreadableImage(InputError):
    """An image file that cannot be brought to the form asked for; the message lacks the place."""


def empty_images(n: int, form: Form) -> Tensor:
    """Return an unfilled uint8 tensor (N, C, S, S)."""
    return torch.empty((n, form.channels, form.side, form.side), dtype=torch.uint8)


def decode(file: bytes, form: Form) -> NDArray[np.uint8]:
    """Return an image as (channels, side, side): its central square, resized with antialiasing.

    Raises:
        UnreadableImage: the file is damaged, or its pixels are deeper than 8 bits or not grey or colour levels.
    """
    wanted = "L" if form.channels == 1 else "RGB"
    try:
        image: Image.Image = Image.open(BytesIO(file))
        # a JPEG far larger than needed is decoded at a fraction of its size, never below twice the side
        image.draft(None, (2 * form.side, 2 * form.side))
        image.load()
    except Exception as error:  # on damaged files Pillow raises whatever its parsers run into
        reason = "not an image of a known format" if isinstance(error, UnidentifiedImageError) else error
        raise UnreadableImage(f"cannot be decoded ({reason})") from None
    if image.mode.startswith(("I", "F", "LAB")):
        raise UnreadableImage(f"has mode {image.mode!r}, which does not fit {form.channels} channels of 8 bits")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode != wanted:
        image = image.convert(wanted)
    square = ImageOps.fit(image, (form.side, form.side), Image.Resampling.BILINEAR)
    pixels = np.asarray(square).reshape(form.side, form.side, form.channels)
    return np.array(pixels.transpose(2, 0, 1), order="C")  # a copy: Pillow's memory is read-only


@dataclass(frozen=True, eq=False)
class DecodedOnDemand:
    """The pixels of examples, decoded anew whenever they are asked for."""

    examples: Examples
    form: Form

    def __getitem__(self, positions: Tensor) -> Tensor:
        """Return the images at int64 positions (B,) as a uint8 tensor (B, C, S, S)."""
        images = empty_images(len(positions), self.form)
        # threads, because Pillow lets go of Python's lock while it decodes
        with ThreadPoolExecutor() as pool:
            for slot, image in enumerate(pool.map(self._decode, positions.tolist())):
                images[slot] = torch.from_numpy(image)
        return images

    def _decode(self, position: int) -> NDArray[np.uint8]:
        return decode(self.examples.read(position), self.form)
