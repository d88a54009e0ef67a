"""A new device is predicted from few measurements, the better for what others need, and its runtime's form is found."""

import copy
import dataclasses
import tracemalloc
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import special

import search_spaces
from latency_predictors.learned import features as features_module
from latency_predictors.learned.descriptors import describe_block
from latency_predictors.learned.features import Features
from latency_predictors.transfer import transfer as transfer_module
from latency_predictors.transfer.design import at_random, most_telling
from latency_predictors.transfer.known_device import KnownDevice, fit_device, resemblance
from latency_predictors.transfer.transfer import NORMAL, Transfer
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
    of_noise = 2 * NORMAL * 0.02  # what 90 % of latencies lie in if all is known but their noise
    assert np.median((high - low) / model.predict(rest)) < 2 * of_noise


def test_an_expected_latency_needs_no_variance() -> None:
    model = copy.copy(fitted())
    mean, _ = model.posterior.predict(features(), POPULATION)
    model.posterior = dataclasses.replace(model.posterior, products=np.empty((0, 0, 0)))  # there is none to be had
    np.testing.assert_array_equal(model.predict(POPULATION), mean)


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


def test_few_covariances_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    transfer, measured = Transfer(features(), known()), (POPULATION[:80], latencies(9, "written")[:80])
    whole = transfer.posterior(*measured)
    monkeypatch.setattr(transfer_module, "_HELD", 80**2)
    tracemalloc.start()
    found = transfer.posterior(*measured)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12e6  # all hypotheses of one form have covariances of 288 * 80 * 80 numbers, 15 MB
    np.testing.assert_allclose(found.means, whole.means, atol=1e-12)


def test_a_device_resembles_itself() -> None:
    shares = resemblance(features(), known()[1].predict(features(), features().reference), known())
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


def test_what_is_saved_predicts_the_same_where_departures_are_found_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted()
    model.save(tmp_path / "device.safetensors")
    found = features_module._departures
    monkeypatch.setattr(features_module, "_departures", lambda *given: -found(*given)[:, ::-1])  # as valid a basis
    again = TransferredLatency.load(tmp_path / "device.safetensors")
    np.testing.assert_allclose(again.predict(POPULATION), model.predict(POPULATION))
    monkeypatch.setattr(features_module, "describe_block", lambda block: 2 * describe_block(block))
    with pytest.raises(InputError, match="described otherwise when the model was fitted: fit it again"):
        TransferredLatency.load(tmp_path / "device.safetensors")


def test_a_margin_holds_95_percent_of_networks_whose_errors_have_their_deviations() -> None:
    model = fitted()
    mean, deviation = model.posterior.predict(features(), features().reference)
    errors = model.factor / 1.645 * deviation / mean * np.random.default_rng(0).normal(size=(100, len(mean)))
    assert (errors <= model.margin).mean() == pytest.approx(0.95, abs=0.005)


def test_a_network_costs_the_same_by_all_its_names_and_the_margin_is_of_networks_as_they_are_built() -> None:
    space = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8)
    model = TransferredLatency.fit(Features(space), (), POPULATION[:12], latencies(9, "written")[:12])
    drawn = model.features.reference
    built = space.canonical(drawn)
    assert (built != drawn).any()
    np.testing.assert_array_equal(model.predict(drawn), model.predict(built))
    low, high = model.interval(drawn)
    np.testing.assert_array_equal((low, high), model.interval(built))
    deviations = (high - low) / 2 / NORMAL / model.predict(drawn)
    assert special.ndtr(model.margin / deviations).mean() == pytest.approx(0.95, abs=1e-6)


def test_intervals_are_as_wide_as_known_devices_need_them() -> None:
    """On devices where a fifth of the networks, on each others, take three times as long as all else foretells."""

    def odd(seed: int) -> np.ndarray:
        return latencies(seed, "written") * np.where(np.random.default_rng(100 + seed).random(400) < 0.2, 3, 1)

    transfer = Transfer(features(), [fit_device(features(), f"d{i}", POPULATION[:60], odd(i)[:60]) for i in range(2)])
    factor = transfer.factor(10, at_random)
    held = []
    for seed in range(10, 14):
        measured = odd(seed)
        mean, deviation = transfer.posterior(POPULATION[:10], measured[:10]).predict(features(), POPULATION[200:])
        off = np.abs(measured[200:] - mean) / deviation
        held.append([(off <= deviations).mean() for deviations in (NORMAL, factor)])
    as_believed, widened = np.mean(held, axis=0)
    assert as_believed < 0.8 < 0.9 <= widened < 0.97


def test_a_known_device_with_few_networks_says_nothing_of_intervals(caplog: pytest.LogCaptureFixture) -> None:
    few = fit_device(features(), "few", POPULATION[:20], latencies(0, "written")[:20])
    for choose in (at_random, most_telling):
        assert Transfer(features(), [few]).factor(15, choose) == pytest.approx(1.645)
    assert "no known device has 10 networks beside the 15 measured here" in caplog.text
    both = Transfer(features(), [few, known()[0]]).factor(15, at_random)
    assert both >= 1.645


def test_more_networks_than_there_are_cannot_be_chosen() -> None:
    transfer = Transfer(features(), known())
    for choose in (at_random, most_telling):
        with pytest.raises(InputError, match="6 networks to measure, of 5: expected 5 at most"):
            choose(transfer, POPULATION[:5], 6)


def test_a_device_known_elsewhere_is_expected_to_be_alike_here() -> None:
    places = np.arange(5)
    measured = POPULATION[places], latencies(1, "folded")[places]
    model = TransferredLatency.fit(features(), known(), *measured, resembles={"d1": 1.0})
    assert model.posterior.resembles["elsewhere"] > 0.4
    assert max(model.adds_up, key=model.adds_up.__getitem__) == "d1"
    with pytest.raises(InputError, match="adds up elsewhere to d7, too: add them to those known here"):
        TransferredLatency.fit(features(), known(), *measured, resembles={"d1": 0.5, "d7": 0.5})


def test_extremes_are_no_worse_than_random_networks() -> None:
    model = fitted()
    costs = model.predict(SPACE.sample(2000, np.random.default_rng(1)))
    assert model.cheapest()[0] <= costs.min()
    assert model.dearest()[0] >= costs.max()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1.0, 2.0], "2 measured networks: expected at least 3"),
        ([1.0, -2.0, 3.0], "measured network 2: latency_ms is -2.0, expected a positive number"),
        ([1.0, np.nan, 3.0], "latency_ms is nan"),
        ([1.0, 2.0, 3.0, 4.0], "measured network 4: the same network as measured network 1"),
    ],
)
def test_measurements_that_cannot_be_are_refused(values: list[float], told: str) -> None:
    population = POPULATION[[0, 1, 2, 0][: len(values)]]
    with pytest.raises(InputError, match=told):
        TransferredLatency.fit(features(), (), population, np.array(values))


@pytest.mark.parametrize("name", ["elsewhere", "the average", "launches"])
def test_a_known_device_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(
        InputError, match=f"known device {name}: what is no device is called that, too; rename its file"
    ):
        Transfer(features(), [dataclasses.replace(known()[0], name=name)])


def test_a_model_of_a_space_that_has_other_options_now_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted().save(tmp_path / "device.safetensors")
    monkeypatch.setattr(type(SPACE), "id", "another")
    with pytest.raises(InputError, match="nasbench201 has other options than when the model was fitted: fit it again"):
        TransferredLatency.load(tmp_path / "device.safetensors")


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    with pytest.raises(InputError, match="not a readable transferred-latency/2 file"):
        TransferredLatency.load(tmp_path / "cut")
