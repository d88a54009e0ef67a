"""The tightest bound is hit, whichever it is and from whichever side; multipliers come to rest."""

import pytest
import torch

from nas.differentiable.bounds import penalty, raised


@pytest.mark.parametrize("wish", [-2.0, 2.0])
@pytest.mark.parametrize("slack", [(0.5, 0.0), (0.3, 0.0, 0.01), ()])
def test_the_tightest_bound_is_hit_and_no_multiplier_runs_away(wish: float, slack: tuple[float, ...]) -> None:
    """Excesses are a logit less each bound's slack; the loss pulls the logit away from the tightest bound."""
    logit, slacks = torch.zeros(1, requires_grad=True), torch.tensor(slack)
    multipliers = torch.zeros(len(slack))
    for _ in range(300):
        loss = 0.1 * (logit - wish).square().sum() + penalty(multipliers, logit - slacks)
        (gradient,) = torch.autograd.grad(loss, logit)
        logit = (logit - 0.3 * gradient).detach().requires_grad_()
        multipliers = raised(multipliers, logit.detach() - slacks)
    expected = min(slack, default=wish)
    assert float(logit.detach()) == pytest.approx(expected, abs=0.01)
    assert float(multipliers.sum()) == pytest.approx(0.2 * wish if slack else 0.0, abs=0.02)


def test_what_pulls_up_goes_over_to_the_bound_that_becomes_the_tightest() -> None:
    assert raised(torch.tensor([-1.0, 0.4]), torch.tensor([-0.2, -0.1])).tolist() == pytest.approx([0.0, -0.61])


def test_one_bound_is_an_equality() -> None:
    multiplier, excess = torch.tensor([-0.7]), torch.tensor([-0.3])
    assert float(penalty(multiplier, excess)) == pytest.approx(-0.7 * -0.3 + 0.3**2 / 2)
