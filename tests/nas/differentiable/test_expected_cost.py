"""The expected cost is the mean over architectures, the cost itself at one-hot probabilities, and differentiable."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import one_hot

import search_spaces
from latency_predictors.cost_model import BlockCost
from nas.differentiable.expected_cost import ExpectedCost
from search_spaces import InputError, SearchSpace


def model_of(space: SearchSpace) -> BlockCost:
    values = np.random.default_rng(0).uniform(0.1, 1, len(space.index.blocks))
    return BlockCost(space, "latency_ms", values, constant=0.3)


@pytest.mark.parametrize("name", ["mobilenet_v3_32", "autoformer_32", "fbnet", "nasbench201", "spvnas_small", "pvcnn"])
def test_at_one_hot_probabilities_it_is_the_cost(name: str) -> None:
    space = search_spaces.load(name)
    model = model_of(space)
    expected = ExpectedCost(model)
    for row in space.sample(5, np.random.default_rng(1)):
        probabilities = [one_hot(torch.tensor(i), int(n)).float() for i, n in zip(row, space.n_options, strict=True)]
        assert expected(probabilities).shape == ()
        assert float(expected(probabilities)) == pytest.approx(float(model.predict(row[None])[0]), rel=1e-5)


@given(st.integers(0, 99))
def test_it_is_the_mean_over_all_architectures(toy: Callable[..., Any], seed: int) -> None:
    space = toy(widths=(8, 16), depths=(1, 2))
    model, rng = model_of(space), np.random.default_rng(seed)
    probabilities = [rng.dirichlet(np.ones(n)) for n in space.n_options]
    population = np.stack(np.meshgrid(*[np.arange(n) for n in space.n_options], indexing="ij"), -1)
    population = population.reshape(-1, len(space.n_options))
    chances = np.prod([p[column] for p, column in zip(probabilities, population.T, strict=True)], axis=0)
    mean = float(chances @ model.predict(population))
    assert float(ExpectedCost(model)([torch.tensor(p).float() for p in probabilities])) == pytest.approx(mean, rel=1e-5)


def test_its_gradient_is_that_of_finite_differences() -> None:
    space = search_spaces.load("mobilenet_v3_32")
    expected, generator = ExpectedCost(model_of(space)), torch.Generator().manual_seed(0)
    logits = [torch.randn(int(n), generator=generator, requires_grad=True) for n in space.n_options]

    def cost(moved: list[torch.Tensor]) -> torch.Tensor:
        return expected([logit.softmax(0) for logit in moved])

    cost(logits).backward()  # type: ignore[no-untyped-call]
    for choice, logit in enumerate(logits):
        for option in range(len(logit)):
            ahead, behind = ([part.detach().clone() for part in logits] for _ in range(2))
            ahead[choice][option] += 0.05
            behind[choice][option] -= 0.05
            slope = float(cost(ahead) - cost(behind)) / 0.1
            assert logit.grad is not None
            assert float(logit.grad[option]) == pytest.approx(slope, rel=0.02, abs=2e-4)


def test_a_cost_that_is_no_sum_is_refused() -> None:
    space = search_spaces.load("mobilenet_v3_32")
    peak = BlockCost(space, "peak_bytes", np.ones(len(space.index.blocks)), combine="max")
    with pytest.raises(InputError, match="peak_bytes is no sum over blocks"):
        ExpectedCost(peak)
