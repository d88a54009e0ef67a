"""Policies learn from what they drew, by rewards that are compared with earlier ones."""

from typing import Any

import numpy as np
import pytest
import torch

from nas import strategies
from nas.controller import ControllerStrategy
from nas.objectives import FeasibleRegion, Objective
from nas.reinforcement import Baseline
from nas.strategies.ppo import PPO
from nas.strategies.q_learning import QLearning
from search_spaces import SearchSpace
from search_spaces.plan_index import Population

POLICIES = ["reinforce", "ppo"]


def begun(name: str, space: SearchSpace, **options: Any) -> ControllerStrategy:
    strategy = strategies.load(name, **options)
    assert isinstance(strategy, ControllerStrategy)
    strategy.begin(FeasibleRegion(space), [Objective("score")], seed=0)
    return strategy


def parameters(strategy: ControllerStrategy) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in strategy._controller.parameters()])


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_learns_nothing_from_networks_that_it_did_not_draw(name: str, tiny: SearchSpace) -> None:
    """Neither from those that a search begins with, nor from those that are explored beside its own."""
    first = tiny.canonical(tiny.sample(200, np.random.default_rng(0)))
    strategy, seen = begun(name, tiny), []
    before = parameters(strategy)
    strategy.tell(first, np.arange(200.0)[:, None])
    assert torch.equal(parameters(strategy), before)
    learn = strategy._learn_own
    strategy._learn_own = lambda rows, advantages: (seen.append(rows), learn(rows, advantages))[1]  # type: ignore[method-assign,func-returns-value]
    always_first = first[:1].repeat(strategy.batch, axis=0)
    strategy._draw = lambda n: always_first[:n]  # type: ignore[method-assign]
    asked = strategy.ask()
    strategy.tell(asked, np.arange(float(len(asked)))[:, None])
    assert len(asked) > len(always_first), "networks are explored where the policy has nothing new"
    assert np.array_equal(np.concatenate(seen), always_first)


def test_rewards_are_compared_with_earlier_ones_alone() -> None:
    baseline = Baseline(memory=0.75, start=0.5)
    assert baseline.advantages(torch.tensor([1.0, 0.5])).tolist() == [0.5, 0.0]
    assert baseline.advantages(torch.tensor([0.5625])).tolist() == [0.0]
    forgetful = Baseline(memory=0.0)
    assert forgetful.advantages(torch.tensor([3.0, 1.0])).tolist() == [1.0, -1.0], "of the first there is no earlier"
    assert forgetful.advantages(torch.tensor([5.0])).tolist() == [3.0]


@pytest.mark.parametrize("better", [1.0, -1.0])
def test_ppo_stops_where_it_has_come_far_enough_in_the_right_direction(better: float, tiny: SearchSpace) -> None:
    """Beyond the clip on that side the gradient is 0; it is not on the other, from which a step leads back."""
    strategy = begun("ppo", tiny, clip=0.2, entropy=0.0, epochs=2)
    assert isinstance(strategy, PPO)
    row, moved = tiny.sample(1, np.random.default_rng(0)), []
    log_probabilities = strategy._controller.log_probabilities

    def gradients(ratio: float) -> list[bool]:
        """Return whether a step changes anything, at the policy that drew the network and at such a ratio to it."""
        factors = iter([0.0, 0.0, float(np.log(ratio))])
        moved.clear()

        def shifted(rows: Population) -> tuple[torch.Tensor, torch.Tensor]:
            known, entropy = log_probabilities(rows)
            return known - known.detach() + next(factors), entropy

        strategy._controller.log_probabilities = shifted  # type: ignore[method-assign]
        strategy._climb = lambda gain, entropy: moved.append(
            bool(torch.autograd.grad(gain, strategy._controller.begin)[0].any())
        )  # type: ignore[method-assign]
        strategy._learn_own(row, torch.tensor([better]))
        return list(moved)

    assert gradients(1.0 + 0.3 * better) == [True, False]
    assert gradients(1.0 - 0.3 * better) == [True, True]
    assert gradients(1.0 + 0.1 * better) == [True, True]


def test_q_values_move_towards_the_reward_and_what_is_best_from_there(tiny: SearchSpace) -> None:
    """Q(lambda) of Peng and Williams by hand, for the last two choices of one network with reward 1."""
    strategy = strategies.load("q_learning", learning_rate=0.5, trace=0.8, replays=1)
    assert isinstance(strategy, QLearning)
    strategy.begin(FeasibleRegion(tiny), [Objective("score")], seed=0)
    row = np.zeros(len(tiny.choices), np.int64)
    strategy._values[-1][0, 1] = 0.9  # another option of the last choice is better known
    strategy._learn(row[None], np.array([1.0]))
    assert strategy._values[-1][0, 0] == pytest.approx(0.5 + 0.5 * (1.0 - 0.5))
    target = 0.8 * 1.0 + 0.2 * 0.9
    assert strategy._values[-2][0, 0] == pytest.approx(0.5 + 0.5 * (target - 0.5))
