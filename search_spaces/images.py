"""Images on the way into a network."""

import torch
from torch import Tensor
from torch.nn import functional as F


def resize(images: Tensor, resolution: int) -> Tensor:
    """Scale float images (B, C, S, S) to (B, C, R, R), R being the resolution; channels last in memory."""
    if resolution != images.shape[-1]:
        images = F.interpolate(images, size=(resolution, resolution), mode="bilinear", antialias=True)
    return images.contiguous(memory_format=torch.channels_last)
