"""Measuring runs real models and checks what they compute; it leaves the process as it was."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch

from latency_predictors.device import Device, MeasureOptions
from latency_predictors.measuring import measure
from latency_predictors.model import Model
from latency_predictors.on_device import timing
from latency_predictors.on_device.machine import n_cores, usable_cores
from latency_predictors.on_device.runner import Runner, Session
from search_spaces.errors import InputError

SHORT = MeasureOptions(warmup_runs=1, runs_per_visit=3, min_rounds=2, min_seconds=0, max_seconds=1e-9)
"""Two rounds, whatever they show."""

Make = Callable[..., Model]


def test_measurements_are_consistent(matmul: Make) -> None:
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


def test_order_follows_the_seed(matmul: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    models = {str(size): matmul(size) for size in range(1, 9)}

    def order(seed: int) -> list[int]:
        visited: list[int] = []
        visit = timing._visit

        def recording(runner: Runner, n_runs: int) -> list[float]:
            visited.append(runner.output().size)
            return visit(runner, n_runs)

        with monkeypatch.context() as patch:
            patch.setattr(timing, "_visit", recording)
            measure(Device(), models, options=dataclasses.replace(SHORT, seed=seed))
        return visited

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == sorted([*range(1, 9)] * 2)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_affinity_is_restored_after_success_and_after_failure(matmul: Make) -> None:
    before = os.sched_getaffinity(0)
    measure(Device(), {"network": matmul(2)}, options=SHORT)
    assert os.sched_getaffinity(0) == before
    with pytest.raises(InputError):
        measure(Device(), {"network": Model(b"no model", {}, torch.nn.Identity())}, options=SHORT)
    assert os.sched_getaffinity(0) == before


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[tuple[set[int], Any]]:
    """Returns the cores that each model is held on, and the options of its session, as it is measured."""
    found: list[tuple[set[int], Any]] = []
    warm_up = timing._warm_up

    def recording(runner: Session, *arguments: Any) -> None:
        found.append((os.sched_getaffinity(0), runner._session.get_session_options()))
        warm_up(runner, *arguments)

    monkeypatch.setattr(timing, "_warm_up", recording)
    return found


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_runs_are_held_on_the_cores_that_were_chosen(matmul: Make, held: list[tuple[set[int], Any]]) -> None:
    usable = usable_cores()
    for cores, expected in (((usable[0],), {usable[0]}), (None, {usable[-1]})):
        held.clear()
        measure(Device(cores=cores), {"network": matmul(2)}, options=SHORT)
        ((on, session),) = held
        assert (on, session.intra_op_num_threads) == (expected, 1)
        spins = session.get_session_config_entry("session.force_spinning_stop")
        assert spins == "1", "threads of other models wait without spinning"


def test_a_model_that_cannot_run_is_named(matmul: Make) -> None:
    with pytest.raises(InputError, match="model 'broken' does not run under onnxruntime") as error:
        measure(Device(), {"broken": Model(b"no model", {}, torch.nn.Identity())}, options=SHORT)
    assert len(str(error.value).splitlines()) == 1
    mismatched = dataclasses.replace(matmul(2), feed=matmul(3).feed)
    with pytest.raises(InputError, match="model 'mismatched'"):
        measure(Device(), {"mismatched": mismatched}, options=SHORT)


def test_a_model_that_computes_something_else_is_refused(matmul: Make) -> None:
    other = dataclasses.replace(matmul(2), module=torch.nn.Softmax(dim=1))
    with pytest.raises(InputError, match="model 'other' under onnxruntime in float32 is not the network"):
        measure(Device(), {"other": other}, options=SHORT)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_two_threads_are_held_on_two_cores(matmul: Make, held: list[tuple[set[int], Any]]) -> None:
    if n_cores() < 2:
        pytest.skip("one core")
    assert measure(Device(threads=2), {"network": matmul(64)}, options=SHORT)["network"].n_runs >= 6
    ((on, session),) = held
    assert (on, session.intra_op_num_threads) == ({*usable_cores()[-2:]}, 2)
