"""A device that is given by numbers obeys the roofline, and its extremes are exact."""

from pathlib import Path

import numpy as np
import pytest

from latency_predictors.analytic.counts import count_models
from latency_predictors.analytic.roofline import Roofline
from search_spaces import InputError, SearchSpace


def test_computing_alone_bounds_a_device_with_endless_bandwidth(small: SearchSpace) -> None:
    device = Roofline(gflops=1.0, bandwidth_gb=1e12, launch_us=0.0)
    population = small.sample(50, np.random.default_rng(0))
    macs = count_models(small)["macs"].predict(population)
    np.testing.assert_allclose(device.cost_models(small)["latency_ms"].predict(population), 2 * macs / 1e6, rtol=1e-6)


def test_nothing_is_faster_for_less(small: SearchSpace) -> None:
    device = Roofline()
    population = small.sample(50, np.random.default_rng(0))
    fast = device.cost_models(small)["latency_ms"].predict(population)
    for worse in (Roofline(gflops=5.0), Roofline(bandwidth_gb=1.0), Roofline(launch_us=20.0)):
        assert np.all(worse.cost_models(small)["latency_ms"].predict(population) > fast)
    costly = Roofline(pj_per_byte=500.0).cost_models(small)["energy_mj"].predict(population)
    assert np.all(costly > device.cost_models(small)["energy_mj"].predict(population))


def test_figures_are_kept_as_json(tmp_path: Path) -> None:
    device = Roofline(gflops=123.0)
    device.save(tmp_path / "device.json")
    assert Roofline.load(tmp_path / "device.json") == device


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ('"gflops": -1', "gflops -1: input should be greater than or equal to 0.000001"),
        ('"gflops": 1e400', "gflops inf: input should be a finite number"),
        ('"bandwidth_gb": 1e-300', "bandwidth_gb 1e-300: input should be greater than"),
        ('"launch_us": 1e300', r"launch_us 1e\+300: input should be less than"),
        ('"gflops": true', "gflops True: input should be a valid number"),
        ('"gflops": 3, "gflops": 4', "gflops stands there twice: keep it once"),
        ('"static_watts": NaN', "static_watts nan: input should be a finite number"),
    ],
)
def test_a_wrong_figure_is_told(tmp_path: Path, figure: str, message: str) -> None:
    (tmp_path / "device.json").write_text(f'{{"schema": "roofline-device/1", {figure}}}')
    with pytest.raises(InputError, match=message):
        Roofline.load(tmp_path / "device.json")
