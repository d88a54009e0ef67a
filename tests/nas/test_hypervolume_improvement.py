"""The improvement along directions is that of the exact hypervolume, and proposals add to each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.hypervolume_improvement import HypervolumeImprovement
from nas.pareto import hypervolume

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_certain_scores_improve_as_the_exact_hypervolume_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known, new = rng.random((20, 2)), rng.random((30, 2)) * 1.5
    improvement = HypervolumeImprovement(known, np.zeros(2))
    expected = improvement.expected(new, np.zeros_like(new))
    before = hypervolume(known, np.zeros(2))
    exact = np.array([hypervolume(np.vstack([known, row]), np.zeros(2)) - before for row in new])
    scale = np.pi / 4 * np.prod(known.max(axis=0))  # of the mean over a quarter of a circle
    assert np.allclose(expected * scale, exact, atol=0.05), "sixteen directions are off by 0.03 at most in 600 draws"
    dominated = (known[:, None] >= new).all(axis=2).any(axis=0)
    assert (expected[dominated] == 0).all()


@pytest.mark.parametrize("n_objectives", [1, 2, 3])
def test_the_expected_improvement_is_that_of_draws(n_objectives: int) -> None:
    rng = np.random.default_rng(0)
    known = rng.random((20, n_objectives))
    improvement = HypervolumeImprovement(known, np.zeros(n_objectives))
    means, deviations = rng.random((30, n_objectives)), rng.random((30, n_objectives)) / 5
    samples = means + deviations * rng.normal(size=(20_000, 30, n_objectives))
    drawn = np.maximum(improvement.reach(samples) - improvement.reached, 0.0).mean(axis=(0, 2))
    assert improvement.expected(means, deviations) == pytest.approx(drawn, rel=0.05, abs=1e-4)
    assert (improvement.expected(known, np.zeros_like(known)) == 0).all()


def test_what_is_unlikely_to_improve_still_counts() -> None:
    improvement = HypervolumeImprovement(np.ones((1, 2)), np.zeros(2))
    far = np.array([[0.4, 0.4], [0.6, 0.6]])
    gains = improvement.expected(far, np.full_like(far, 0.2))
    assert gains[1] > gains[0] > 0, "three deviations away in both scores"


def test_equal_networks_are_not_chosen_twice() -> None:
    samples = np.repeat(np.array([[[2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [0.1, 0.1]]]), 3, axis=0)
    improvement = HypervolumeImprovement(np.array([[0.5, 0.5]]), np.zeros(2))
    chosen = improvement.best_together(samples, np.ones(4), 4)
    assert sorted(chosen.tolist()) == [0, 2]


def test_nothing_known_is_the_volume_above_the_reference() -> None:
    improvement = HypervolumeImprovement(np.empty((0, 2)), np.zeros(2))
    gains = improvement.expected(np.array([[2.0, 2.0], [1.0, 1.0], [-1.0, 3.0]]), np.zeros((3, 2)))
    assert gains[0] > gains[1] > gains[2] == 0
