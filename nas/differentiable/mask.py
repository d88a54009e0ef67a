"""Which elements of a parameter a block uses, and how much each counts where blocks are mixed."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

Box = tuple[tuple[int, int], ...]
"""The first element and the one behind the last, along each dimension of a tensor."""


def box_of(whole: Tensor, part: Tensor) -> Box:
    """Return where a view that narrows a contiguous tensor lies in it.

    Raises:
        ValueError: the view is no box.
    """
    if part.stride() != whole.stride():
        raise ValueError(f"a part of strides {part.stride()} is no box of a tensor of strides {whole.stride()}")
    offset, box = int(part.storage_offset() - whole.storage_offset()), []
    for size, stride in zip(part.shape, whole.stride(), strict=True):
        start, offset = divmod(offset, stride) if stride else (0, offset)
        box.append((start, start + size))
    return tuple(box)


class Mask:
    """The expected mask of a frame, of which each block uses a box.

    A frame is cut at the edges of all boxes, so that an element counts as much as all others of its cell.

    Args:
        boxes: of each block.
        frame: holds the boxes.
    """

    def __init__(self, boxes: Sequence[Box], frame: Box) -> None:
        inside, self._lengths = torch.ones(1, len(boxes), dtype=torch.bool), []
        for dimension, (first, last) in enumerate(frame):
            ranges = [box[dimension] for box in boxes]
            cuts = sorted({first, last, *(edge for edges in ranges for edge in edges)})
            along = torch.tensor([[a <= low and high <= b for a, b in ranges] for low, high in pairwise(cuts)])
            inside = (inside[:, None] & along[None]).flatten(0, 1)
            self._lengths.append(torch.tensor([high - low for low, high in pairwise(cuts)]))
        self._inside = inside.float()

    def __call__(self, shares: Tensor) -> Tensor:
        """Return how much each element counts, with a size of 1 along dimensions in which all count alike.

        Args:
            shares: how much each block counts, (blocks,).
        """
        mask = (self._inside.to(shares.device) @ shares).reshape([len(lengths) for lengths in self._lengths])
        for dimension, lengths in enumerate(self._lengths):
            if len(lengths) > 1:
                mask = mask.repeat_interleave(lengths.to(mask.device), dimension)
        return mask
