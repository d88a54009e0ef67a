"""How well predicted classes agree with the true ones."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


def accuracy(confusion: Tensor) -> float:
    """Return the share of rows whose class is predicted right.

    Args:
        confusion: int64 (C, C), how many rows of each true class, by row, are predicted as each class, by column.
    """
    return float(confusion.trace() / confusion.sum())


def class_ious(confusion: Tensor) -> Tensor:
    """Return float64 (C,): of each class, the rows that are and are predicted as it over those that are either.

    A class that no row is of has 1, whatever is predicted as it, as in the published evaluation of SPVNAS (Tang et al.,
    ECCV 2020); SemanticKITTI's own tool gives it 0. The rest is the same in both.

    Args:
        confusion: as in `accuracy`.
    """
    right, present, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    ious = right.double() / (present + predicted - right).clamp(min=1)
    return torch.where(present > 0, ious, 1.0)


def mean_iou(confusion: Tensor) -> float:
    """Return the mean of `class_ious` over all classes."""
    return class_ious(confusion).mean().item()


SCORES: Mapping[str, Callable[[Tensor], float]] = {"mean_iou": mean_iou, "accuracy": accuracy}
"""What a confusion matrix (C, C) says, by metric; all of them are the better the higher."""


def scores(metrics: Sequence[str], confusion: Tensor, loss: float) -> dict[str, float]:
    """Return the named metrics of a confusion matrix, and the mean of the summed cross entropy."""
    return {
        name: loss / int(confusion.sum()) if name == "cross_entropy" else SCORES[name](confusion) for name in metrics
    }
