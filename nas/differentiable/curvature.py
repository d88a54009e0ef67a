"""Derivatives of the second order of the validation loss, by differences of gradients."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

_DISTANCE = 0.01
"""How far gradients that are compared lie apart, as DARTS has it."""

_TINY = 1e-12

_TOLERANCE = 0.01
"""Of the eigenvalue, relative: one batch says it less exactly."""


def dominant_eigenvalue(gradient: Callable[[Tensor], Tensor], direction: Tensor) -> float:
    """Return the largest eigenvalue of a Hessian, by Lanczos' method.

    The largest, not the one of largest magnitude: what is negative tells of no sharp minimum, and an iteration between
    two of like magnitude and unlike sign would not end.

    Args:
        gradient: at a displacement (n,) from where the Hessian is wanted, (n,).
        direction: the first, (n,), drawn at random.
    """

    def product(along: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = torch.from_numpy(along.ravel()).to(direction)
        moved = moved * (_DISTANCE / moved.norm().clamp(min=_TINY))
        curved = (gradient(moved) - gradient(-moved)) / (2 * _DISTANCE)
        return np.asarray(curved.cpu().numpy() * np.linalg.norm(along))

    hessian = LinearOperator((len(direction),) * 2, matvec=product, dtype=np.float32)
    first = direction.cpu().numpy()
    if not product(first).any():
        return 0.0  # nothing changes the gradient, which Lanczos' method has no answer to
    (largest,) = eigsh(hessian, k=1, which="LA", v0=first, tol=_TOLERANCE, return_eigenvectors=False)
    return float(largest)


def unrolled_gradients(
    train_loss: Callable[[], Tensor],
    validation_loss: Callable[[], Tensor],
    logits: Sequence[Tensor],
    weights: Sequence[Tensor],
    rate: float,
) -> list[Tensor]:
    """Return the gradients in the logits of the validation loss after one step of the weights (DARTS, equations 7, 8).

    Args:
        train_loss: on which the weights take a plain step.
        validation_loss: at whatever the weights are then.
        logits: of the options.
        weights: shared; they are moved and put back.
        rate: of that step.
    """
    before = [weight.detach().clone() for weight in weights]
    step = _gradients(train_loss(), weights)
    _move(weights, before, step, -rate)
    of_both = _gradients(validation_loss(), [*logits, *weights])
    gradients, direction = of_both[: len(logits)], of_both[len(logits) :]
    size = torch.stack([part.norm() for part in direction]).norm().clamp(min=_TINY)
    epsilon = _DISTANCE / float(size)
    _move(weights, before, direction, epsilon)
    ahead = _gradients(train_loss(), logits)
    _move(weights, before, direction, -epsilon)
    behind = _gradients(train_loss(), logits)
    _move(weights, before, direction, 0.0)
    return [g - rate * (a - b) / (2 * epsilon) for g, a, b in zip(gradients, ahead, behind, strict=True)]


def _gradients(loss: Tensor, at: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss, at, allow_unused=True)
    return [torch.zeros_like(t) if gradient is None else gradient for t, gradient in zip(at, found, strict=True)]


def _move(weights: Sequence[Tensor], before: Sequence[Tensor], direction: Sequence[Tensor], by: float) -> None:
    with torch.no_grad():
        for weight, origin, step in zip(weights, before, direction, strict=True):
            weight.copy_(origin + by * step)
