"""How well predicted classes agree with the true ones."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor


def accuracy(confusion: Tensor) -> float:
    """Return the share of rows whose class is predicted right.

    Args:
        confusion: int64 (C, C), how many rows of each true class, by row, are predicted as each class, by column.
    """
    return float(confusion.trace() / confusion.sum())


SCORES: Mapping[str, Callable[[Tensor], float]] = {"accuracy": accuracy}
"""What a confusion matrix (C, C) says, by metric; all of them are the better the higher."""


def scores(metrics: Sequence[str], confusion: Tensor, loss: float) -> dict[str, float]:
    """Return the named metrics of a confusion matrix, and the mean of the summed cross entropy."""
    return {
        name: loss / int(confusion.sum()) if name == "cross_entropy" else SCORES[name](confusion) for name in metrics
    }
