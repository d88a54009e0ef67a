"""One pass over all images of a part: which are readable, what they hold, and their pixels if these are to be kept."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.images.decoding import DecodedOnDemand, Form, UnreadableImage, decode, empty_images
from nas.data.images.examples import Examples
from nas.data.images.images import Images
from search_spaces.progress import progress_bar

# images a thread takes at a time: with fewer, handing them out costs more than decoding small ones
CHUNK = 32
# one grey level, so that standardising images that are all of one colour does not divide by zero
SMALLEST_STD = 1 / 255


@dataclass(frozen=True, eq=False)
class Scan:
    """What was found in some examples.

    Attributes:
        examples: those that were scanned, N of them.
        form: what they were decoded to.
        digests: sha256 of each image file, readable or not.
        problems: why an image is unreadable, by its position.
        sums: int64 array (N, 2, C), the sums of each image's pixels and of their squares.
        pixels: uint8 tensor (N, C, S, S) if they were to be kept.
    """

    examples: Examples
    form: Form
    digests: list[bytes]
    problems: dict[int, str]
    sums: NDArray[np.int64]
    pixels: Tensor | None

    def readable(self) -> Examples:
        """Return the examples without a problem."""
        return self.examples.take(self._readable_positions())

    def images(self) -> Images:
        """Return the readable images."""
        readable = self.readable()
        if self.pixels is None:
            return Images(readable.labels, DecodedOnDemand(readable, self.form))
        pixels = self.pixels[self._readable_positions()] if self.problems else self.pixels
        return Images(readable.labels, pixels)

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return both for each channel, over the pixels of all readable images in 0..1."""
        n_pixels = (len(self.examples) - len(self.problems)) * self.form.side**2
        mean, mean_square = self.sums.sum(axis=0) / n_pixels / np.array([[255], [255**2]])
        std = np.sqrt(np.maximum(mean_square - mean**2, SMALLEST_STD**2))
        return tuple(mean.tolist()), tuple(std.tolist())

    def _readable_positions(self) -> Tensor:
        return torch.tensor([p for p in range(len(self.examples)) if p not in self.problems], dtype=torch.int64)


def scan(examples: Examples, form: Form, keep: bool, title: str) -> Scan:
    """Decode every example once, showing progress under `title` if it takes more than a second."""
    n = len(examples)
    digests = [b""] * n
    problems: dict[int, str] = {}
    sums = np.zeros((n, 2, form.channels), np.int64)
    pixels = empty_images(n, form) if keep else None

    def examine(position: int) -> None:
        try:
            file = examples.read(position)
            digests[position] = hashlib.sha256(file).digest()
            image = decode(file, form)
        except (UnreadableImage, OSError) as error:
            problems[position] = str(error)
            return
        sums[position] = image.sum((1, 2)), np.square(image, dtype=np.int64).sum((1, 2))
        if pixels is not None:
            pixels[position] = torch.from_numpy(image)

    def examine_chunk(chunk: range) -> int:
        for position in chunk:
            examine(position)
        return len(chunk)

    chunks = [range(first, min(first + CHUNK, n)) for first in range(0, n, CHUNK)]
    with ThreadPoolExecutor() as pool, progress_bar(n, title, "image") as bar:
        for n_examined in pool.map(examine_chunk, chunks):
            bar.update(n_examined)
    return Scan(examples, form, digests, dict(sorted(problems.items())), sums, pixels)
