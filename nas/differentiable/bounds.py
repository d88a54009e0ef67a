"""Bounds on expected costs in a descent: the tightest is hit from either side, the others are kept.

An augmented Lagrangian (Hestenes 1969; for inequalities Rockafellar 1973). Were every bound to be hit, a slack one
would pull costs up against a tight one, and both multipliers would grow without end.
"""

import torch
from torch import Tensor

_ASCENT = 0.1
"""By how much a multiplier rises in a step, relative to the logarithm of expected cost over bound."""

_STIFFNESS = 1.0
"""Weight of the square of that logarithm, which damps the multiplier's swings."""


def penalty(multipliers: Tensor, excesses: Tensor) -> Tensor:
    """Return what expected costs add to the loss, a scalar: m g + g^2 / 2, where that does not pull a slack bound up.

    Args:
        multipliers: m of each bound, (bounds,).
        excesses: g, the logarithms of expected costs over bounds, (bounds,).
    """
    multipliers = _pulled(multipliers, excesses)
    pressures = _held(multipliers + _STIFFNESS * excesses, excesses)
    return (pressures.square() - multipliers.square()).sum() / (2 * _STIFFNESS)


def raised(multipliers: Tensor, excesses: Tensor) -> Tensor:
    """Return the multipliers after a step that led to these excesses, (bounds,): below 0 that of the tightest alone."""
    return _held(_pulled(multipliers, excesses) + _ASCENT * excesses, excesses)


def _held(values: Tensor, excesses: Tensor) -> Tensor:
    """Return values (bounds,) with those of all bounds but the tightest at 0 at least."""
    return values.where(_tightest(excesses), values.clamp(min=0))


def _pulled(multipliers: Tensor, excesses: Tensor) -> Tensor:
    """Return multipliers of which what is below 0, where costs are pulled up, has gone over to the tightest bound."""
    pull = multipliers.clamp(max=0).sum()
    return multipliers.clamp(min=0) + pull * _tightest(excesses)


def _tightest(excesses: Tensor) -> Tensor:
    """Return (bounds,): whether each is the tightest, of equally tight ones the first."""
    order = torch.arange(len(excesses), device=excesses.device)
    return order == excesses.argmax() if len(excesses) else order > 0
