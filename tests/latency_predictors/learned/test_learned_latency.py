"""Regressions predict what they are stored to predict, and the best by held-out error is taken."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import search_spaces
from latency_predictors.learned.features import Features
from latency_predictors.learned.learned_latency import LearnedLatency
from latency_predictors.learned.regressors import REGRESSORS
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population

SPACE = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8, dead_edges="keep")
BUILT = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8)
POPULATION = SPACE.sample(500, np.random.default_rng(0))


@cache
def features(space: SearchSpace = SPACE) -> Features:
    return Features(space)


def truth(population: Population) -> np.ndarray:
    return features()(population, "written") @ sum(features().bounds().values())


@cache
def latencies() -> np.ndarray:
    return truth(POPULATION) * np.exp(0.05 * np.random.default_rng(1).normal(size=len(POPULATION)))


@pytest.mark.parametrize("kind", REGRESSORS)
def test_every_regression_is_stored_whole_and_tells_one_network_one_latency(kind: str, tmp_path: Path) -> None:
    """Though the measured networks, unlike those that the space builds, hold their dead edges."""
    model = LearnedLatency.fit(features(BUILT), POPULATION[:40], latencies()[:40], kinds=[kind])
    model.save(tmp_path / "model.safetensors")
    again = LearnedLatency.load(tmp_path / "model.safetensors")
    np.testing.assert_allclose(again.predict(POPULATION), model.predict(POPULATION))
    built = BUILT.canonical(POPULATION)
    assert (built != POPULATION).any()
    np.testing.assert_array_equal(model.predict(POPULATION), model.predict(built))
    np.testing.assert_array_equal(model.interval(POPULATION), model.interval(built))
    assert np.corrcoef(model.predict(built[40:]), truth(built[40:]))[0, 1] > 0.95


def test_the_best_is_taken_and_its_interval_holds() -> None:
    model = LearnedLatency.fit(features(), POPULATION[:60], latencies()[:60], kinds=["ridge", "boosting"])
    assert model.kind == "ridge"  # sums are linear
    low, high = model.interval(POPULATION[60:])
    measured = latencies()[60:]
    assert 0.8 <= ((low <= measured) & (measured <= high)).mean() <= 0.99


def test_a_margin_holds_95_percent_of_networks_that_were_not_measured() -> None:
    shares = []
    for first in range(0, 300, 60):
        seen = np.arange(first, first + 60)
        model = LearnedLatency.fit(features(), POPULATION[seen], latencies()[seen], kinds=["ridge"])
        fresh = np.setdiff1d(np.arange(len(POPULATION)), seen)
        shares.append((latencies()[fresh] <= model.predict(POPULATION[fresh]) * (1 + model.margin)).mean())
    assert np.mean(shares) == pytest.approx(0.95, abs=0.03)


def test_too_few_networks_are_refused() -> None:
    with pytest.raises(InputError, match="9 measured networks: expected at least 10"):
        LearnedLatency.fit(features(), POPULATION[:9], latencies()[:9])
