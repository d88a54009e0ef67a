"""Timing goes on until latencies are stable or the time is over, and says which."""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from latency_predictors.device import Measurement, MeasureOptions
from latency_predictors.on_device import timing
from latency_predictors.on_device.runner import Runner


class Told(Runner):
    """A model whose runs take what they are told to."""

    def __init__(self, durations_ms: Iterable[float]) -> None:
        self.n_runs = 0
        self._each = iter(durations_ms)

    def run(self) -> None:
        self.n_runs += 1

    def time_ms(self) -> float:
        self.run()
        return next(self._each)


def test_a_latency_is_stable_when_more_rounds_leave_it_alone() -> None:
    steady, slower, faster = [1.0] * 8, [1.0] * 4 + [9.0] * 4, [9.0] * 4 + [1.0] * 4
    runs_ms = np.reshape([steady, slower, faster], (3, 4, 2))
    assert timing._stable(runs_ms, tolerance=0.01).tolist() == [True, True, False]


def measured(durations_ms: Iterable[float], **options: Any) -> Measurement:
    asked = dataclasses.asdict(MeasureOptions(warmup_runs=1, runs_per_visit=1, min_seconds=0, **options))
    warming = [1.0, 1.0]  # no faster the second time
    runner = Told(itertools.chain(warming, durations_ms))
    return Measurement(**timing.measure(["network"], lambda name: runner, asked, 1)["network"])


def test_measuring_stops_when_latencies_are_stable() -> None:
    found = measured([9.0, 9.0, 9.0, 1.0, *[1.0] * 100], min_rounds=4)
    assert found.stable
    assert 4 < found.n_runs < 104
    assert found.quantile_ms == found.minimum_ms == 1.0


def test_measuring_stops_at_the_time_limit_and_says_what_is_unstable() -> None:
    found = measured([4.0, 2.0, 1.0], min_rounds=3, max_seconds=1e-9)
    assert found.n_runs == 3
    assert not found.stable


def test_a_model_is_warmed_up_until_it_becomes_no_faster() -> None:
    options = dataclasses.asdict(MeasureOptions(warmup_runs=2))
    compiling = Told([9, 9, 5, 5, 2, 2, 1, 1, 1, 1])
    timing._warm_up(compiling, options)
    assert compiling.n_runs == 10
    endless = Told(0.9**n for n in range(1000))
    timing._warm_up(endless, options)
    assert endless.n_runs == 2 * timing._WARMUP_WINDOWS
