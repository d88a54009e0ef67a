"""A Gaussian process knows what it was told, and how little it knows of the rest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

import search_spaces
from nas.gaussian_process import Encoder, GaussianProcess, Inputs, _negative_log_posterior, _parts
from search_spaces import SearchSpace

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return search_spaces.load("mobilenet_v3_32", resolutions=(16,))


def encoded(space: SearchSpace, n: int, seed: int) -> Inputs:
    rows = space.canonical(space.sample(n + 200, np.random.default_rng(seed)))
    return Encoder(space, rows)(np.unique(rows, axis=0)[:n])


def additive(inputs: Inputs, seed: int) -> np.ndarray:
    return inputs.options @ np.random.default_rng(seed).normal(size=inputs.options.shape[1])


def fitted(inputs: Inputs, values: np.ndarray) -> GaussianProcess:
    process = GaussianProcess()
    process.fit(inputs, values, np.random.default_rng(0))
    return process


@given(seed=SEEDS)
@settings(max_examples=5, deadline=None)
def test_known_values_are_returned_within_the_noise(seed: int, space: SearchSpace) -> None:
    inputs = encoded(space, 60, seed)
    values = 1000 + 10 * additive(inputs, seed)
    process = fitted(inputs, values)
    expected, deviations = process.predict(inputs)
    assert np.abs(expected - values).max() < 4 * np.sqrt(process.noise) + 0.05 * values.std()
    assert (deviations <= values.std()).all()


@given(seed=SEEDS)
@settings(max_examples=5, deadline=None)
def test_what_is_unknown_is_less_certain_and_more_data_make_it_more(seed: int, space: SearchSpace) -> None:
    inputs = encoded(space, 120, seed)
    values, known, rest = additive(inputs, seed), np.arange(40), np.arange(80, 120)
    process = fitted(inputs[known], values[known])
    uncertain = process.predict(inputs[rest])[1]
    assert uncertain.mean() > process.predict(inputs[known])[1].mean()
    more = fitted(inputs[np.arange(80)], values[:80])
    assert more.predict(inputs[rest])[1].mean() < uncertain.mean()


@given(seed=SEEDS)
@settings(max_examples=5, deadline=None)
def test_the_order_of_what_is_known_changes_nothing(seed: int, space: SearchSpace) -> None:
    inputs, order = encoded(space, 50, seed), np.random.default_rng(seed).permutation(40)
    values, known, rest = additive(inputs, seed), np.arange(40), np.arange(40, 50)
    one = fitted(inputs[known], values[known]).predict(inputs[rest])
    other = fitted(inputs[order], values[order]).predict(inputs[rest])
    assert np.allclose(one[0], other[0], atol=0.05 * values.std())
    assert np.allclose(one[1], other[1], atol=0.05 * values.std())


def test_a_fit_is_the_same_each_time_and_knows_no_scale(space: SearchSpace) -> None:
    inputs = encoded(space, 50, 0)
    values, known, rest = additive(inputs, 0), np.arange(40), np.arange(40, 50)
    one, other = (fitted(inputs[known], values[known]).predict(inputs[rest]) for _ in range(2))
    assert np.array_equal(one, other)
    scaled = fitted(inputs[known], 7 * values[known] - 3).predict(inputs[rest])
    assert np.allclose(scaled[0], 7 * one[0] - 3, atol=1e-3)


def test_samples_have_the_mean_and_the_deviation_that_are_predicted(space: SearchSpace) -> None:
    inputs = encoded(space, 50, 0)
    values, known, rest = additive(inputs, 0), np.arange(40), np.arange(40, 50)
    process = fitted(inputs[known], values[known])
    samples = process.sample(inputs[rest], 20_000, np.random.default_rng(0))
    expected, deviations = process.predict(inputs[rest])
    total = np.sqrt(deviations**2 + process.noise)
    assert np.allclose(samples.mean(axis=0), expected, atol=0.05 * total.max())
    assert np.allclose(samples.std(axis=0), total, rtol=0.05)


@given(seed=SEEDS)
@settings(max_examples=5, deadline=None)
def test_the_gradient_is_that_of_the_posterior(seed: int, space: SearchSpace) -> None:
    inputs, rng = encoded(space, 20, seed), np.random.default_rng(seed)
    values, parts = rng.normal(size=20), _parts(inputs, inputs)
    prior = np.append(np.zeros(sum(part.n_logs for part in parts)), -1.0)
    error = check_grad(
        lambda logs: _negative_log_posterior(logs, prior, parts, values)[0],
        lambda logs: _negative_log_posterior(logs, prior, parts, values)[1],
        rng.normal(prior),
    )
    assert error < 1e-3
