"""The handwritten digits that scikit-learn ships: 1,797 grey images of 8 by 8 pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nas.data.images.examples import Examples


@dataclass(frozen=True)
class _EncodedDigits:
    files: Sequence[bytes]

    def read(self, row: int) -> bytes:
        return self.files[row]

    def place(self, row: int) -> str:
        return f"digit {row}"


def read_digits() -> Examples:
    """Return all digits, each as a PGM file: uncompressed, so the same bytes on every machine."""
    from sklearn.datasets import load_digits  # here because it takes a second to import

    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return Examples(
        classes=tuple(str(digit) for digit in range(10)),
        labels=torch.from_numpy(bunch.target.astype(np.int64)),
        rows=torch.arange(len(pixels)),
        encoded=_EncodedDigits([b"P5 8 8 255\n" + image.tobytes() for image in pixels]),
    )
