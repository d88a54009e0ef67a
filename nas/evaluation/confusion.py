"""What predicted classes are worth: accuracy and mean intersection over union, both from one confusion matrix."""

import torch
from torch import Tensor

from nas.data.dataset import IGNORED


def confusion_matrix(predicted: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Return an int64 matrix (classes, classes): how many rows of each class (first axis) were taken for each (second).

    Args:
        predicted: int64 (rows,), class numbers.
        labels: int64 (rows,), class numbers or `IGNORED`; ignored rows count nowhere.
        n_classes: how many there are.
    """
    counted = labels != IGNORED
    pairs = labels[counted] * n_classes + predicted[counted]
    return torch.bincount(pairs, minlength=n_classes**2).view(n_classes, n_classes)


def accuracy(matrix: Tensor) -> float:
    """Return the share of rows whose class was found; NaN where there is no row."""
    return (matrix.trace() / matrix.sum()).item()


def class_ious(matrix: Tensor) -> Tensor:
    """Return float64 (classes,): of each class, the rows that are and were taken for it over those that are or were.

    A class of which there is no row has 1, whatever was taken for it, as in the published evaluation of SPVNAS (Tang et
    al., ECCV 2020). (SemanticKITTI's own tool gives such a class 0.)
    """
    found, present, taken = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    ious = found.double() / (present + taken - found).clamp(min=1)
    return torch.where(present > 0, ious, 1.0)


def mean_iou(matrix: Tensor) -> float:
    """Return the mean of `class_ious` over all classes."""
    return class_ious(matrix).mean().item()
