"""How well predicted classes agree with the true ones."""

import math
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

    NaN for a class that no row is of.

    Args:
        confusion: as in `accuracy`.
    """
    right, present, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    ious = right.double() / (present + predicted - right).clamp(min=1)
    return torch.where(present > 0, ious, torch.nan)


def mean_iou(confusion: Tensor) -> float:
    """Return the mean of `class_ious` over all classes, 1 for one that does not occur.

    As in the published evaluation of SPVNAS (Tang et al., ECCV 2020); SemanticKITTI's own tool counts it as 0.
    """
    return class_ious(confusion).nan_to_num(1.0).mean().item()


def mean_iou_present(confusion: Tensor) -> float:
    """Return the mean of `class_ious` over the classes that occur: of a few frames it says more than `mean_iou`.

    Networks are ranked alike by both, and where all classes occur they are the same.
    """
    return class_ious(confusion).nanmean().item()


SCORES: Mapping[str, Callable[[Tensor], float]] = {
    "mean_iou": mean_iou,
    "mean_iou_present": mean_iou_present,
    "accuracy": accuracy,
}
"""What a confusion matrix (C, C) says, by metric; all of them are the better the higher."""

METRICS = (*SCORES, "cross_entropy")
"""All that networks are scored by; a kind of data knows some of them."""


def extremes(metric: str, n_classes: int) -> tuple[float, float]:
    """Return what a metric is at worst, or cross entropy of a guess among all classes, and what it is at best."""
    return (math.log(n_classes), 0.0) if metric == "cross_entropy" else (0.0, 1.0)


def scores(metrics: Sequence[str], confusion: Tensor, loss: float) -> dict[str, float]:
    """Return the named metrics of a confusion matrix, and the mean of the summed cross entropy; all NaN of no rows."""
    n_rows = int(confusion.sum())
    if not n_rows:
        return dict.fromkeys(metrics, math.nan)
    return {name: loss / n_rows if name == "cross_entropy" else SCORES[name](confusion) for name in metrics}
