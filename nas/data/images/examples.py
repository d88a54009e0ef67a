"""Labelled images as they were found, before any is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor


class EncodedImages(Protocol):
    """Encoded images by row, each with the place it was found at, for messages."""

    def read(self, row: int) -> bytes:
        """Return the image file of a row; called from several threads at once."""

    def place(self, row: int) -> str:
        """Return where the row was found, in words a person can follow."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Some rows of encoded images with their labels.

    Attributes:
        classes: class names; a label is an index into them.
        labels: int64 tensor (N,).
        rows: int64 tensor (N,), the row of each example in `encoded`.
        encoded: the images, possibly shared with other examples.
    """

    classes: tuple[str, ...]
    labels: Tensor
    rows: Tensor
    encoded: EncodedImages

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, position: int) -> bytes:
        """Return the image file of the example at `position`."""
        return self.encoded.read(int(self.rows[position]))

    def place(self, position: int) -> str:
        """Return where the example at `position` was found."""
        return self.encoded.place(int(self.rows[position]))

    def take(self, positions: Tensor) -> "Examples":
        """Return the examples at `positions`, an int64 tensor (M,)."""
        return replace(self, labels=self.labels[positions], rows=self.rows[positions])

    def relabel(self, classes: Sequence[str]) -> "Examples":
        """Return the same examples with labels that index `classes`, the same names in another order."""
        index = torch.tensor([classes.index(name) for name in self.classes])
        return replace(self, classes=tuple(classes), labels=index[self.labels])
