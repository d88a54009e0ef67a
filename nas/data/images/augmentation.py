"""Images on their way into a network: random shifts and flips, standardised; on any device."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nas.data.options import Augmentation


def augment(
    images: Tensor,
    augmentation: Augmentation,
    flip: bool,
    generator: torch.Generator,
    first: int = 0,
    n: int | None = None,
) -> Tensor:
    """Shift every image by a random distance and flip it with probability one half.

    What is shifted in from outside is zero, the mean colour of standardised images.

    Args:
        images: float tensor (B, C, S, S).
        augmentation: the largest shift, and whether to flip if not as `flip` says.
        flip: whether a flip keeps the labels of this data set.
        generator: on any device; the result depends on its state alone.
        first: the place of the first of them in a batch that others vary the rest of.
        n: how many images that batch has; None if they are all.

    Returns:
        A tensor of the same shape, device and memory format.
    """
    side = images.shape[-1]
    reach = round(augmentation.crop * side)

    def draw(below: int) -> Tensor:
        draws = torch.randint(below, (n or len(images),), generator=generator, device=generator.device)
        return draws[first : first + len(images)].to(images.device)

    # every window that the padded images have, (B, C, 2 * reach + 1, 2 * reach + 1, S, S), as a view
    windows = F.pad(images, (reach, reach, reach, reach)).unfold(2, side, 1).unfold(3, side, 1)
    image = torch.arange(len(images), device=images.device)
    varied = windows[image, :, draw(2 * reach + 1), draw(2 * reach + 1)]
    if flip if augmentation.flip is None else augmentation.flip:
        flipped = draw(2).bool()[:, None, None, None]
        varied = torch.where(flipped, varied.flip(3), varied)
    return varied.contiguous(memory_format=_memory_format(images))


def normalise(
    images: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device | str,
) -> Tensor:
    """Bring stored images to the scale that a network expects.

    Args:
        images: uint8 tensor (B, C, S, S).
        mean: of each of the C channels, for pixels in 0..1.
        std: likewise.
        device: where the result is wanted.

    Returns:
        A float32 tensor (B, C, S, S), in every channel about zero mean and unit deviation.
    """
    images = images.to(device, non_blocking=True)
    scale = torch.tensor(std, device=device)[:, None, None] * 255
    shift = torch.tensor(mean, device=device)[:, None, None] * 255
    return (images.float() - shift) / scale


def _memory_format(images: Tensor) -> torch.memory_format:
    return torch.contiguous_format if images.is_contiguous() else torch.channels_last
