"""A calibration finds the coefficients that networks follow, and none that make no sense."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from latency_predictors.analytic.counts import count
from latency_predictors.table.calibration import Calibration, block_features
from search_spaces import SearchSpace

SEEDS = st.integers(0, 2**32 - 1)
N_NETWORKS = 12


def random_features(space: SearchSpace, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the features (blocks, 4) of blocks of random latencies, and (networks, 4) of random networks."""
    rng = np.random.default_rng(seed)
    features = block_features(space.index.blocks, rng.uniform(0.01, 0.1, len(space.index.blocks)))
    population = space.sample(N_NETWORKS, rng)
    return features, np.column_stack([space.index.summed(column)(population) for column in features.T])


COEFFICIENTS = st.builds(
    Calibration,
    latency=st.floats(0.5, 2),
    block=st.floats(0, 0.001),
    traffic=st.floats(0, 0.01),
    weights=st.floats(0, 0.1),
    constant=st.floats(-0.01, 0.1),
)


@given(truth=COEFFICIENTS, seed=SEEDS)
def test_coefficients_of_networks_that_follow_the_formula_are_found(
    small: SearchSpace, truth: Calibration, seed: int
) -> None:
    _, sums = random_features(small, seed)
    found = Calibration.fit(sums, truth.block_values(sums) + truth.constant)
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(truth), rel=1e-6, abs=1e-6)


@given(seed=SEEDS, spread=st.floats(0.01, 2))
def test_noise_makes_no_coefficient_negative(small: SearchSpace, seed: int, spread: float) -> None:
    _, sums = random_features(small, seed)
    measured = sums[:, 0] * np.exp(np.random.default_rng(seed).normal(scale=spread, size=len(sums)))
    found = Calibration.fit(sums, measured)
    assert min(found.latency, found.block, found.traffic, found.weights) >= 0


@given(coefficients=COEFFICIENTS, seed=SEEDS)
def test_values_of_blocks_add_up_to_those_of_networks(small: SearchSpace, coefficients: Calibration, seed: int) -> None:
    features, _ = random_features(small, seed)
    for architecture in small.decode(small.sample(3, np.random.default_rng(seed))):
        standing = [small.index.blocks.index(block) for block in small.plan(architecture).values()]
        of_network = coefficients.block_values(features[standing].sum(axis=0, keepdims=True))
        assert coefficients.block_values(features)[standing].sum() == pytest.approx(of_network[0], abs=1e-12)


def test_features_are_latency_number_traffic_and_weights(small: SearchSpace) -> None:
    block = small.plan(small.smallest())["stem"]
    (features,) = block_features([block], np.array([0.25]))
    n_in, n_out = 3 * 16 * 16, int(np.prod(block.output.shape))
    assert features.tolist() == [0.25, 1, (n_in + n_out) * 4 / 1e6, count(block).n_parameters * 4 / 1e6]
