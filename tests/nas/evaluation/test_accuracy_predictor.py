"""The predictor ranks networks that it has not seen, and is what scikit-learn fitted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.neural_network
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.neural_network import MLPRegressor

import search_spaces
from nas.evaluation.accuracy_predictor import AccuracyPredictor
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return search_spaces.load("mobilenet_v3_32")


def accuracy_of(space: SearchSpace, population: Population) -> NDArray[np.float64]:
    """Return an accuracy that saturates, as that of networks does with their size, of choices that matter unequally."""
    features = space.one_hot(space.canonical(population))
    weights = np.random.default_rng(7).gamma(0.5, size=features.shape[1])
    return np.asarray(0.9 - np.exp(-0.15 * (features @ weights)), dtype=np.float64)


@pytest.fixture(scope="module")
def evaluated(space: SearchSpace) -> tuple[Population, NDArray[np.float64]]:
    population = space.sample(200, np.random.default_rng(0))
    return population, accuracy_of(space, population)


@pytest.fixture(scope="module")
def predictor(space: SearchSpace, evaluated: tuple[Population, NDArray[np.float64]]) -> AccuracyPredictor:
    return AccuracyPredictor.fit(space, *evaluated, seed=0)


def predict(predictor: AccuracyPredictor, population: Population) -> NDArray[np.float64]:
    return predictor.evaluate(population)["predicted_accuracy"]


def test_networks_that_it_has_not_seen_are_ranked(space: SearchSpace, predictor: AccuracyPredictor) -> None:
    population = space.canonical(space.sample(2000, np.random.default_rng(1)))
    truth, predicted = accuracy_of(space, population), predict(predictor, population)
    assert kendalltau(predicted, truth).statistic > 0.85
    assert abs(predicted - truth).mean() < 0.1 * truth.std()


def test_kendall_is_that_of_networks_it_has_not_seen(space: SearchSpace, predictor: AccuracyPredictor) -> None:
    assert 0.8 < predictor.kendall < 1
    population = space.sample(100, np.random.default_rng(2))
    noise = AccuracyPredictor.fit(space, population, np.random.default_rng(3).normal(size=100), seed=0)
    assert abs(noise.kendall) < 0.3


def test_predictions_are_the_mean_of_the_fitted_perceptrons(
    space: SearchSpace, evaluated: tuple[Population, NDArray[np.float64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[MLPRegressor] = []

    class Recording(MLPRegressor):
        def fit(self, *arguments: Any) -> None:
            super().fit(*arguments)
            fitted.append(self)

    monkeypatch.setattr(sklearn.neural_network, "MLPRegressor", Recording)
    predictor = AccuracyPredictor.fit(space, *evaluated, seed=0)
    population = space.canonical(space.sample(50, np.random.default_rng(1)))
    outputs = np.mean([network.predict(space.one_hot(population)) for network in fitted], axis=0)
    accuracy = evaluated[1]
    assert len(fitted) == 5
    np.testing.assert_allclose(
        predict(predictor, population), accuracy.mean() + accuracy.std() * outputs, rtol=0, atol=1e-6
    )


def test_what_is_saved_is_read_as_it_was(space: SearchSpace, predictor: AccuracyPredictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "predictor.safetensors")
    again = AccuracyPredictor.load(tmp_path / "predictor.safetensors", space)
    population = space.canonical(space.sample(100, np.random.default_rng(1)))
    assert np.array_equal(predict(again, population), predict(predictor, population))
    assert again.kendall == predictor.kendall


def test_another_metric_is_predicted_under_its_name(toy: Callable[..., Any], tmp_path: Path) -> None:
    space = toy()
    loss = -accuracy_of(space, space.rows())
    predictor = AccuracyPredictor.fit(space, space.rows(), loss, seed=0, metric="cross_entropy")
    predictor.save(tmp_path / "predictor.safetensors")
    for found in (predictor, AccuracyPredictor.load(tmp_path / "predictor.safetensors", space)):
        assert found.metrics == ("predicted_cross_entropy",)
        predicted = found.evaluate(space.canonical(space.rows()))["predicted_cross_entropy"]
        assert kendalltau(predicted, loss).statistic > 0.7


def test_the_seed_decides(
    space: SearchSpace, predictor: AccuracyPredictor, evaluated: tuple[Population, NDArray[np.float64]]
) -> None:
    population = space.canonical(space.sample(100, np.random.default_rng(1)))
    again, other = (AccuracyPredictor.fit(space, *evaluated, seed=seed) for seed in (0, 1))
    assert np.array_equal(predict(again, population), predict(predictor, population))
    assert not np.array_equal(predict(other, population), predict(predictor, population))


def test_inactive_choices_change_nothing(toy: Callable[..., Any]) -> None:
    space = toy()
    accuracy = accuracy_of(space, space.rows())
    one, other = (AccuracyPredictor.fit(space, p, accuracy, 0) for p in (space.rows(), space.canonical(space.rows())))
    assert np.array_equal(predict(one, space.rows()), predict(other, space.rows()))


@pytest.mark.parametrize("accuracy", [0.0, 0.1, 1.0])
def test_equal_accuracies_are_predicted_without_a_rank(space: SearchSpace, accuracy: float) -> None:
    population = space.sample(30, np.random.default_rng(0))
    predictor = AccuracyPredictor.fit(space, population, np.full(30, accuracy), seed=0)
    assert predictor.kendall == 0
    np.testing.assert_allclose(predict(predictor, population), accuracy, rtol=0, atol=1e-4)


def test_failed_evaluations_are_left_out(
    space: SearchSpace, predictor: AccuracyPredictor, evaluated: tuple[Population, NDArray[np.float64]]
) -> None:
    population, accuracy = evaluated
    failed = np.insert(population, [3, 50], 0, axis=0), np.insert(accuracy, [3, 50], np.nan)
    again = AccuracyPredictor.fit(space, *failed, seed=0)
    assert np.array_equal(predict(again, population), predict(predictor, population))


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_networks_are_refused(space: SearchSpace, n: int) -> None:
    population = space.sample(n + 1, np.random.default_rng(0))
    accuracy = np.append(np.linspace(0, 1, n), np.nan)
    with pytest.raises(InputError, match=f"{n} evaluated networks are too few") as error:
        AccuracyPredictor.fit(space, population, accuracy, seed=0)
    assert len(str(error.value).splitlines()) == 1
