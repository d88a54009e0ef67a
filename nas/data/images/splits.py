"""Cutting examples in two, class by class."""

import torch
from torch import Tensor


def split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Cut off a random share of every class, the same for the same seed.

    Args:
        labels: int64 tensor (N,); every class that occurs has two examples or more.
        fraction: share of each class to cut off, rounded so that both sides get at least one example.
        seed: of the generator that draws the examples.

    Returns:
        The positions that remain and those cut off, ascending int64 tensors (M,) and (N - M,).
    """
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    by_class = shuffled[torch.argsort(labels[shuffled], stable=True)]
    n_examples = torch.bincount(labels)
    n_cut = torch.minimum((n_examples * fraction).round().long().clamp(min=1), n_examples - 1)
    first = n_examples.cumsum(0) - n_examples
    rank_in_class = torch.arange(len(labels)) - first[labels[by_class]]
    cut = rank_in_class < n_cut[labels[by_class]]
    return by_class[~cut].sort().values, by_class[cut].sort().values
