"""Measuring runs real models under onnxruntime; what it reports is consistent, and it leaves the process as it was."""

import dataclasses
import os
from collections.abc import Iterable

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from latency_predictors import device as device_module
from latency_predictors.device import Device, MeasureOptions, measure
from latency_predictors.model import Model
from search_spaces.errors import InputError

SHORT = MeasureOptions(warmup_runs=1, runs_per_visit=3, min_rounds=2, min_seconds=0, max_seconds=1e-9)
"""Two rounds, whatever they show."""


def matmul(size: int, batch_size: int = 1) -> Model:
    """Return y = x W with a square W, x of shape (batch, size)."""
    weight = numpy_helper.from_array(np.eye(size, dtype=np.float32), "weight")
    shape = ["batch", size]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "weight"], ["output"])],
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return Model(model.SerializeToString(), {"input": np.ones((batch_size, size), np.float32)})


def test_measurements_are_consistent() -> None:
    models = {"small": matmul(8, 4), "large": matmul(256, 4)}
    found = measure(Device(batch_size=4), models, options=SHORT)
    assert list(found) == ["small", "large"]
    for measurement in found.values():
        assert 0 < measurement.minimum_ms <= measurement.quantile_ms <= measurement.median_ms
        assert measurement.spread == pytest.approx(measurement.median_ms / measurement.quantile_ms - 1)
        assert measurement.n_runs == 2 * 3
        assert measurement.pinned == hasattr(os, "sched_setaffinity")


def test_nothing_to_measure() -> None:
    assert measure(Device(), {}, options=SHORT) == {}


def test_order_follows_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {str(size): matmul(size) for size in range(1, 9)}

    def order(seed: int) -> list[str]:
        visited: list[str] = []
        visit = device_module._visit

        def recording(runner: device_module._Runner, n_runs: int) -> list[float]:
            visited.append(runner.name)
            return visit(runner, n_runs)

        with monkeypatch.context() as patch:
            patch.setattr(device_module, "_visit", recording)
            measure(Device(), models, options=dataclasses.replace(SHORT, seed=seed))
        return visited

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == sorted([*models] * 2)


def test_a_latency_is_stable_when_more_rounds_leave_it_alone() -> None:
    steady, slower, faster = [1.0] * 8, [1.0] * 4 + [9.0] * 4, [9.0] * 4 + [1.0] * 4
    runs_ms = np.reshape([steady, slower, faster], (3, 4, 2))
    assert device_module._stable(runs_ms, tolerance=0.01).tolist() == [True, True, False]


def _measure_durations(monkeypatch: pytest.MonkeyPatch, durations_ms: Iterable[float], options: MeasureOptions):
    """Measure a model whose runs take what they are told to."""
    each = iter(durations_ms)
    monkeypatch.setattr(device_module, "_visit", lambda runner, n_runs: [next(each)] * n_runs)
    return measure(Device(), {"network": matmul(2)}, options=options)["network"]


def test_measuring_stops_when_latencies_are_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    options = MeasureOptions(runs_per_visit=1, min_rounds=4, min_seconds=0)
    found = _measure_durations(monkeypatch, [9.0, 9.0, 9.0, 1.0, *[1.0] * 100], options)
    assert found.stable
    assert 4 < found.n_runs < 104
    assert found.quantile_ms == found.minimum_ms == 1.0


def test_measuring_stops_at_the_time_limit_and_says_what_is_unstable(monkeypatch: pytest.MonkeyPatch) -> None:
    options = MeasureOptions(runs_per_visit=1, min_rounds=3, min_seconds=0, max_seconds=1e-9)
    found = _measure_durations(monkeypatch, [4.0, 2.0, 1.0], options)
    assert found.n_runs == 3
    assert not found.stable


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_affinity_is_restored_after_success_and_after_failure() -> None:
    before = os.sched_getaffinity(0)
    measure(Device(), {"network": matmul(2)}, options=SHORT)
    assert os.sched_getaffinity(0) == before
    with pytest.raises(InputError):
        measure(Device(), {"network": Model(b"no model", {})}, options=SHORT)
    assert os.sched_getaffinity(0) == before


def test_a_model_that_cannot_run_is_named() -> None:
    with pytest.raises(InputError, match="model 'broken' does not run under onnxruntime"):
        measure(Device(), {"broken": Model(b"no model", {})}, options=SHORT)
    with pytest.raises(InputError, match="model 'mismatched'"):
        measure(Device(), {"mismatched": Model(matmul(2).content, matmul(3).feed)}, options=SHORT)


def test_outputs_have_the_size_of_what_is_fed() -> None:
    runner = device_module._Runner(Device(batch_size=5), "network", matmul(3, batch_size=5))
    (output,) = runner._binding.get_outputs()
    assert output.shape() == [5, 3]


def test_two_threads_are_held_on_two_cores() -> None:
    if device_module._n_cores() < 2:
        pytest.skip("one core")
    assert measure(Device(threads=2), {"network": matmul(64)}, options=SHORT)["network"].n_runs >= 6


def test_device_json_round_trip() -> None:
    device = Device(threads=2, batch_size=8)
    assert Device.from_json(device.to_json()) == device
    with pytest.raises(InputError, match="threads 0"):
        Device.from_json({**device.to_json(), "threads": 0})
    with pytest.raises(InputError, match="colour 'red'"):
        Device.from_json({**device.to_json(), "colour": "red"})


def test_device_refuses_impossible_threads() -> None:
    with pytest.raises(ValidationError):
        Device(threads=0)
    with pytest.raises(InputError, match="more than the"):
        measure(Device(threads=100_000), {"network": matmul(2)}, options=SHORT)
