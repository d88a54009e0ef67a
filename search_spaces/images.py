"""Images on the way into a network."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def resize(images: Tensor, resolution: int) -> Tensor:
    """Scale float images (B, C, S, S) to (B, C, R, R), R being the resolution; channels last in memory."""
    if resolution != images.shape[-1]:
        images = F.interpolate(images, size=(resolution, resolution), mode="bilinear", antialias=True)
    return images.contiguous(memory_format=torch.channels_last)


def channels_last(network: nn.Module) -> None:
    """Lay the kernels of convolutions over images out channels last, in place; all else stays as it is.

    Not `network.to(memory_format=torch.channels_last)`, which fails where there are kernels over volumes.
    """

    def lay_out(tensor: Tensor) -> Tensor:
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    network._apply(lay_out)  # type: ignore[no-untyped-call]
