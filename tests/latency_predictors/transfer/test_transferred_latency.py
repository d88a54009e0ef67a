"""A new device is predicted from few measurements, the better for what others need, and its runtime's form is found."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import search_spaces
from latency_predictors.learned.features import Features
from latency_predictors.transfer.design import at_random, most_telling
from latency_predictors.transfer.known_device import KnownDevice, fit_device, resemblance
from latency_predictors.transfer.transfer import Transfer
from latency_predictors.transfer.transferred_latency import TransferredLatency
from search_spaces import InputError

SPACE = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8, dead_edges="keep")
RNG = np.random.default_rng(0)
POPULATION = SPACE.sample(400, RNG)


@cache
def features() -> Features:
    return Features(SPACE)


def latencies(seed: int, form: str, noise: float = 0.02) -> np.ndarray:
    """Return latencies of a device that has some mixture of launches, computing and memory."""
    rng = np.random.default_rng(seed)
    bounds = np.stack([*features().bounds().values()])
    truth = features()(POPULATION, form) @ (rng.dirichlet(np.ones(3)) @ bounds)
    return 5 * (truth + 0.05) * np.exp(noise * rng.normal(size=len(truth)))


@cache
def known() -> tuple[KnownDevice, ...]:
    forms = ("written", "folded", "written", "folded")
    return tuple(fit_device(features(), f"d{i}", POPULATION, latencies(i, form)) for i, form in enumerate(forms))


@cache
def fitted(k: int = 12) -> TransferredLatency:
    places = most_telling(Transfer(features(), known()), POPULATION[:200], k)
    return TransferredLatency.fit(features(), known(), POPULATION[places], latencies(9, "folded")[places])


def test_the_form_of_a_well_known_device_is_found() -> None:
    assert [device.form for device in known()] == ["written", "folded", "written", "folded"]


def test_a_new_device_is_predicted_with_its_form_and_an_interval_that_holds() -> None:
    model = fitted()
    rest, measured = POPULATION[200:], latencies(9, "folded")[200:]
    assert model.posterior.forms["folded"] > 0.9
    assert np.median(np.abs(model.predict(rest) / measured - 1)) < 0.04
    low, high = model.interval(rest)
    assert ((low <= measured) & (measured <= high)).mean() >= 0.8
    assert np.all(low < high)


def test_probabilities_add_up() -> None:
    posterior = fitted().posterior
    assert sum(posterior.forms.values()) == pytest.approx(1)
    assert sum(posterior.resembles.values()) == pytest.approx(1)


def test_a_design_beats_networks_at_random() -> None:
    """By the mean error over some new devices and draws."""
    transfer = Transfer(features(), known())
    errors = {choose: [] for choose in (at_random, most_telling)}
    for seed in range(10, 14):
        truth = latencies(seed, "written" if seed % 2 else "folded")
        candidates = np.random.default_rng(seed).choice(200, 100, replace=False)
        for choose, found in errors.items():
            places = candidates[choose(transfer, POPULATION[candidates], 5)]
            mean, _ = transfer.posterior(POPULATION[places], truth[places]).predict(features(), POPULATION[200:])
            found.append(np.abs(mean / truth[200:] - 1).mean())
    assert np.mean(errors[most_telling]) < np.mean(errors[at_random])


def test_one_wild_measurement_does_little() -> None:
    truth = latencies(9, "written")
    wild = truth.copy()
    wild[3] *= 4
    found = [Transfer(features(), known()).posterior(POPULATION[:15], y[:15]) for y in (truth, wild)]
    plain, shaken = (posterior.predict(features(), POPULATION[200:])[0] for posterior in found)
    assert np.median(np.abs(shaken / plain - 1)) < 0.1


def test_a_device_resembles_itself() -> None:
    shares = resemblance(features(), known()[1], known())
    assert shares["d1"] == pytest.approx(1, abs=0.05)
    elsewhere = Transfer(features(), known(), shares).posterior(POPULATION[:5], latencies(1, "folded")[:5])
    assert elsewhere.resembles["elsewhere"] > 0.4


def test_what_is_saved_predicts_the_same(tmp_path: Path) -> None:
    model = fitted()
    model.save(tmp_path / "device.safetensors")
    again = TransferredLatency.load(tmp_path / "device.safetensors")
    np.testing.assert_allclose(again.predict(POPULATION), model.predict(POPULATION))
    np.testing.assert_allclose(again.interval(POPULATION), model.interval(POPULATION))
    assert again.space == model.space


def test_extremes_are_no_worse_than_random_networks() -> None:
    model = fitted()
    costs = model.predict(SPACE.sample(2000, np.random.default_rng(1)))
    assert model.cheapest()[0] <= costs.min()
    assert model.dearest()[0] >= costs.max()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1.0, 2.0], "2 measured networks: expected at least 3"),
        ([1.0, -2.0, 3.0], "latency_ms is -2.0, expected a positive number"),
        ([1.0, np.nan, 3.0], "latency_ms is nan"),
        ([1.0, 2.0, 3.0, 4.0], "is there twice"),
    ],
)
def test_measurements_that_cannot_be_are_refused(values: list[float], told: str) -> None:
    population = POPULATION[[0, 1, 2, 0][: len(values)]]
    with pytest.raises(InputError, match=told):
        TransferredLatency.fit(features(), (), population, np.array(values))


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    with pytest.raises(InputError, match="not a readable transferred-latency/1 file"):
        TransferredLatency.load(tmp_path / "cut")
