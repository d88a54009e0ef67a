"""Derivatives of the second order of the validation loss, by differences of gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_DISTANCE = 0.01
"""How far gradients that are compared lie apart, as DARTS has it."""

_TINY = 1e-12


def dominant_eigenvalue(gradient: Callable[[Tensor], Tensor], direction: Tensor, iterations: int = 8) -> float:
    """Return the eigenvalue of largest magnitude of a Hessian, by power iteration.

    Args:
        gradient: at a displacement (n,) from where the Hessian is wanted, (n,).
        direction: the first, (n,), drawn at random.
        iterations: products with the Hessian.
    """
    eigenvalue = 0.0
    for _ in range(iterations):
        direction = direction / direction.norm().clamp(min=_TINY)
        product = (gradient(_DISTANCE * direction) - gradient(-_DISTANCE * direction)) / (2 * _DISTANCE)
        eigenvalue = float(product @ direction)
        direction = product
    return eigenvalue


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
