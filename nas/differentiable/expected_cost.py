"""The expected cost of a network whose options are drawn independently: a multilinear function of probabilities."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from latency_predictors.cost_model import BlockCost, CostModel
from search_spaces.elimination import Factor, join
from search_spaces.errors import InputError


class ExpectedCost:
    """The expectation of a cost that is a sum over blocks, exact and differentiable.

    Where every probability is 0 or 1 it is the cost of that architecture, to the precision of float32.

    Args:
        model: a latency table's, or a count.

    Raises:
        InputError: the model predicts no sum over blocks.
    """

    def __init__(self, model: CostModel) -> None:
        if not isinstance(model, BlockCost) or model.combine != "sum":
            raise InputError(
                f"{model.metric} is no sum over blocks, so it has no expectation that gradients could lower: "
                "use a latency table, or a strategy that is not differentiable"
            )
        self._constant = model.constant
        scopes: dict[tuple[int, ...], list[Factor]] = {}
        for factor in model.space.index.factors(model.values):
            scopes.setdefault(factor.choices, []).append(factor)
        self._terms = [
            (scope, torch.from_numpy(np.asarray(join(factors, np.add).values, np.float32, order="C")))
            for scope, factors in scopes.items()
        ]

    def __call__(self, probabilities: Sequence[Tensor]) -> Tensor:
        """Return the expected cost, a scalar, in the model's unit.

        Args:
            probabilities: for each choice those of its options, (options,).
        """
        total = torch.full((), self._constant, device=probabilities[0].device)
        for scope, values in self._terms:
            expected = values.to(total.device)
            for choice in reversed(scope):
                expected = expected @ probabilities[choice]
            total = total + expected
        return total
