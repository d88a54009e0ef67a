"""A calibration finds the coefficients that networks follow, in the form they follow, and none that make no sense."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from latency_predictors.analytic.counts import count
from latency_predictors.table.calibration import FORMS, Calibration, block_features
from search_spaces import SearchSpace

Features = dict[str, NDArray[np.float64]]

SEEDS = st.integers(0, 2**32 - 1)
N_NETWORKS = 12


def random_features(space: SearchSpace, seed: int, n: int = N_NETWORKS) -> tuple[Features, Features]:
    """Return the features of blocks of random latencies, and those of random networks."""
    rng = np.random.default_rng(seed)
    features = block_features(space.index.blocks, rng.uniform(0.01, 0.1, len(space.index.blocks)))
    population = space.sample(n, rng)
    return features, {name: space.index.summed(column)(population) for name, column in features.items()}


def truth(form: str, **coefficients: float) -> Calibration:
    constant = coefficients.pop("constant", 0.0)
    return Calibration(form, {name.replace("ms_of_", "ms of "): x for name, x in coefficients.items()}, constant, {})


OVERHEADS = st.builds(
    truth,
    st.just("overheads"),
    ms=st.floats(0.5, 2),
    blocks=st.floats(-0.001, 0),
    traffic=st.floats(-0.01, 0),
    weights=st.floats(0, 0.1),
    constant=st.floats(-0.01, 0.1),
)


@given(truth=OVERHEADS, seed=SEEDS)
def test_coefficients_of_networks_that_follow_the_formula_are_found(
    small: SearchSpace, truth: Calibration, seed: int
) -> None:
    _, sums = random_features(small, seed)
    found = Calibration.fit(sums, truth.block_values(sums) + truth.constant)
    assert found.form == "overheads"
    assert found.coefficients == pytest.approx(truth.coefficients, rel=1e-6, abs=1e-6)
    assert found.constant == pytest.approx(truth.constant, rel=1e-6, abs=1e-6)


def two_kinds(seed: int) -> Features:
    """Return features of networks that have more or less of two kinds of blocks."""
    rng = np.random.default_rng(seed)
    one, other, *rest = rng.uniform(0.5, 5, (5, N_NETWORKS))
    return {**dict(zip(("blocks", "traffic", "weights"), rest, strict=True)), "ms": one + other} | {
        "ms of One": one,
        "ms of Other": other,
    }


@pytest.mark.parametrize(
    "followed",
    [
        truth("kinds", ms_of_One=0.5, ms_of_Other=2.0, constant=0.1),
        truth("kinds and overheads", ms_of_One=0.5, ms_of_Other=2.0, traffic=-0.3, blocks=-0.1),
    ],
)
def test_kinds_of_blocks_that_differ_are_weighed_apart(followed: Calibration) -> None:
    sums = two_kinds(0)
    noise = np.exp(np.random.default_rng(0).normal(scale=0.01, size=N_NETWORKS))
    found = Calibration.fit(sums, (followed.block_values(sums) + followed.constant) * noise)
    assert found.form == followed.form
    assert found.errors[found.form] < 0.3 * found.errors["overheads"]


def test_kinds_of_blocks_that_are_alike_are_rarely_weighed_apart() -> None:
    forms = []
    for seed in range(20):
        sums = two_kinds(seed)
        noise = np.exp(np.random.default_rng(seed).normal(scale=0.05, size=N_NETWORKS))
        forms.append(Calibration.fit(sums, 1.2 * sums["ms"] * noise).form)
    assert sum("kinds" in form for form in forms) <= 1


def test_too_few_networks_choose_nothing(small: SearchSpace) -> None:
    _, sums = random_features(small, 0, n=5)
    found = Calibration.fit(sums, sums["ms"])
    assert (found.form, found.errors) == ("overheads", {})


def test_a_kind_that_hardly_any_network_has_is_not_weighed(small: SearchSpace) -> None:
    _, sums = random_features(small, 0)
    rare = {**sums, "ms of Rare": np.where(np.arange(N_NETWORKS) < 2, 0.01, 0.0)}
    assert {form for form in FORMS if "kinds" in form}.isdisjoint(Calibration.fit(rare, rare["ms"]).errors)


@given(seed=SEEDS, spread=st.floats(0.01, 2))
def test_noise_gives_no_coefficient_the_wrong_sign(small: SearchSpace, seed: int, spread: float) -> None:
    _, sums = random_features(small, seed)
    measured = sums["ms"] * np.exp(np.random.default_rng(seed).normal(scale=spread, size=N_NETWORKS))
    for name, value in Calibration.fit(sums, measured).coefficients.items():
        assert value * (-1 if name in ("blocks", "traffic") else 1) >= 0


@given(coefficients=OVERHEADS, seed=SEEDS)
def test_values_of_blocks_add_up_to_those_of_networks(small: SearchSpace, coefficients: Calibration, seed: int) -> None:
    features, _ = random_features(small, seed)
    for architecture in small.decode(small.sample(3, np.random.default_rng(seed))):
        standing = [small.index.blocks.index(block) for block in small.plan(architecture).values()]
        of_network = {name: column[standing].sum(keepdims=True) for name, column in features.items()}
        added = coefficients.block_values(features)[standing].sum()
        assert added == pytest.approx(coefficients.block_values(of_network)[0], abs=1e-12)


def test_features_are_latency_number_traffic_and_weights(small: SearchSpace) -> None:
    block = small.plan(small.smallest())["stem"]
    features = block_features([block], np.array([0.25]))
    n_in, n_out = 3 * 16 * 16, int(np.prod(block.output.shape))
    assert {name: float(column[0]) for name, column in features.items()} == {
        "ms": 0.25,
        "blocks": 1,
        "traffic": (n_in + n_out) * 4 / 1e6,
        "weights": count(block).n_parameters * 4 / 1e6,
        "ms of ConvNorm": 0.25,
    }
