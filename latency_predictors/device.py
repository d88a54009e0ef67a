"""A device runs networks; this file measures how long they take on this machine's processor under onnxruntime."""

import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from latency_predictors.model import Model
from search_spaces.errors import InputError, invalid, unknown
from search_spaces.progress import progress_bar

STATISTIC = "q10"
"""Latencies and budgets mean the 10 % quantile over runs: what neighbours on the machine add is left out."""

DEVICES = ("cpu",)

_QUANTILE = 0.10

_Runs = NDArray[np.float64]
"""Durations in ms of the timed runs, (models, rounds, runs of a visit)."""

_INVALID_MODEL = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Device:
    """The processor of this machine under one runtime: what a latency is a latency of."""

    name: str = Field(default="cpu", description="what runs the networks: cpu, this machine's processor")
    runtime: Literal["onnxruntime"] = Field(default="onnxruntime", description="software that runs them")
    threads: int = Field(default=1, ge=1, description="threads that one network may use")
    batch_size: int = Field(default=1, ge=1, description="images a run")
    precision: Literal["float32"] = Field(default="float32", description="number format of weights and activations")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DEVICES:
            raise unknown("device", name, DEVICES)
        return name

    def require_cores(self) -> None:
        """Raise unless this machine has as many cores as the device has threads."""
        if self.threads > _n_cores():
            raise InputError(
                f"device threads {self.threads} are more than the {_n_cores()} cores here: lower `threads`"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Device":
        """Return the device that `to_json` wrote.

        Raises:
            InputError: a field is unknown or its value is out of range.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(document))
        except ValidationError as error:
            raise invalid("device", error) from None


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class MeasureOptions:
    """How long to measure: until the latencies are stable, within bounds of time."""

    warmup_runs: int = Field(default=8, ge=1, description="untimed runs of each model before the first round")
    runs_per_visit: int = Field(default=5, ge=1, description="timed runs of a model in each round")
    min_rounds: int = Field(default=10, ge=2, description="rounds before latencies may count as stable")
    min_seconds: float = Field(
        default=5.0, ge=0, description="time before latencies may count as stable: neighbours are busy for seconds"
    )
    max_seconds: float = Field(
        default=120.0, gt=0, description="time after which measuring stops, once min_rounds are done"
    )
    tolerance: float = Field(
        default=0.01, gt=0, description="relative change of a latency by the second half of the rounds that is stable"
    )
    stable_share: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="share of stable models that is enough: one of hundreds is always restless",
    )
    seed: int = Field(default=0, description="seed of the models' order in each round")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Measurement:
    """The latency of one model, and how far to trust it."""

    quantile_ms: float = Field(description="10 % quantile over all runs: the latency that tables and budgets mean")
    median_ms: float = Field(description="median over all runs")
    minimum_ms: float = Field(description="fastest run")
    spread: float = Field(description="(median - quantile) / quantile: how disturbed the runs were")
    n_runs: int = Field(description="timed runs")
    stable: bool = Field(description="whether the second half of the rounds left the quantile where it was")
    pinned: bool = Field(description="whether the runs were held on fixed cores")

    def scaled(self, factor: float) -> "Measurement":
        """Return the measurement as it would be on a device that takes `factor` times as long."""
        scaled_ms = {name: getattr(self, name) * factor for name in ("quantile_ms", "median_ms", "minimum_ms")}
        return replace(self, **scaled_ms)


def measure(
    device: Device,
    models: Mapping[str, Model],
    *,
    options: MeasureOptions | None = None,
    progress: bool = False,
) -> dict[str, Measurement]:
    """Measure models side by side: every round visits each of them once, in an order drawn anew.

    Slow drifts of the machine so meet all models alike. Give blocks and the whole networks that calibrate their sums
    in one call: between two calls, neighbours on the machine shift latencies by up to 2 %.

    Args:
        device: the device; its threads must fit this machine.
        models: the models by name.
        options: how long to measure.
        progress: whether to show the rounds on stderr.

    Raises:
        InputError: onnxruntime cannot load or run a model, or the device asks for more threads than there are cores.
    """
    options = options or MeasureOptions()
    device.require_cores()
    if not models:
        return {}
    with _pinned(device.threads) as pinned:
        runners = [_Runner(device, name, model) for name, model in models.items()]
        runs_ms = _interleave(runners, options, progress)
    stable = _stable(runs_ms, options.tolerance)
    return {
        runner.name: _summarise(runs_ms[index], bool(stable[index]), pinned) for index, runner in enumerate(runners)
    }


class _Runner:
    """One model, loaded, with its input and output buffers bound: a run costs no copies."""

    def __init__(self, device: Device, name: str, model: Model) -> None:
        self.name = name
        try:
            self._session = onnxruntime.InferenceSession(
                model.content, _session_options(device), providers=["CPUExecutionProvider"]
            )
            self._binding = self._bind(model.feed)
            self.run()
        except _INVALID_MODEL as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"model {name!r} does not run under onnxruntime ({reason}): export it again") from None

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def _bind(self, feed: Mapping[str, NDArray[Any]]) -> Any:
        """Bind the inputs, and outputs of the shapes that a first run gives."""
        names = [value.name for value in self._session.get_outputs()]
        binding = self._session.io_binding()
        for name, array in feed.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        for name, array in zip(names, self._session.run(names, dict(feed)), strict=True):
            binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        return binding


def _interleave(runners: Sequence[_Runner], options: MeasureOptions, progress: bool) -> _Runs:
    """Run every model in every round, until the latencies are stable or the time is over."""
    for runner in runners:
        for _ in range(options.warmup_runs):
            runner.run()
    rng = np.random.default_rng(options.seed)
    rounds: list[_Runs] = []
    next_check = options.min_rounds
    start_s = time.monotonic()
    with progress_bar(None, "measure", "round", show=progress) as bar:
        for done in itertools.count(1):
            rounds.append(_round(runners, options.runs_per_visit, rng))
            bar.update()
            elapsed_s = time.monotonic() - start_s
            if done >= options.min_rounds and elapsed_s >= options.max_seconds:
                break
            if done >= next_check and elapsed_s >= options.min_seconds:
                stable = _stable(np.concatenate(rounds, axis=1), options.tolerance)
                if np.mean(stable) >= options.stable_share:
                    break
                next_check = done + done // 10 + 1  # a check looks at all rounds, so checks become rarer
    return np.concatenate(rounds, axis=1)


def _round(runners: Sequence[_Runner], runs_per_visit: int, rng: np.random.Generator) -> _Runs:
    """Visit every model once, in an order drawn anew; return (models, 1, runs of a visit)."""
    runs_ms = np.empty((len(runners), 1, runs_per_visit))
    for index in rng.permutation(len(runners)):
        runs_ms[index, 0] = _visit(runners[index], runs_per_visit)
    return runs_ms


def _visit(runner: _Runner, n_runs: int) -> list[float]:
    """Return the durations in ms of consecutive runs, after one that brings the model back into the caches.

    The run after another model takes up to twice as long. Sums of such runs predict whole networks worse (4.4 % error
    after calibration on 10 networks of 0.3 to 0.6 ms, against 1.3 % without them).
    """
    runner.run()
    runs_ms = []
    for _ in range(n_runs):
        start_ns = time.perf_counter_ns()
        runner.run()
        runs_ms.append((time.perf_counter_ns() - start_ns) / 1e6)
    return runs_ms


def _stable(runs_ms: _Runs, tolerance: float) -> NDArray[np.bool_]:
    """Return (models,): whether the second half of the rounds left the quantile where the first half had put it."""
    n_rounds = runs_ms.shape[1]
    before, after = (np.quantile(part, _QUANTILE, axis=(1, 2)) for part in (runs_ms[:, : n_rounds // 2], runs_ms))
    return np.abs(before - after) <= tolerance * after


def _summarise(runs_ms: NDArray[np.float64], stable: bool, pinned: bool) -> Measurement:
    quantile_ms, median_ms = (float(value) for value in np.quantile(runs_ms, [_QUANTILE, 0.5]))
    return Measurement(
        quantile_ms=quantile_ms,
        median_ms=median_ms,
        minimum_ms=float(runs_ms.min()),
        spread=median_ms / quantile_ms - 1,
        n_runs=runs_ms.size,
        stable=stable,
        pinned=pinned,
    )


def _session_options(device: Device) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = device.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4  # failures are raised, and told once
    # With an open batch axis, a transformer works out its shapes in every run: 6-9 % of its latency.
    options.add_free_dimension_override_by_name("batch", device.batch_size)
    # The threads of the model that ran before must not spin while another one is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


@contextmanager
def _pinned(n_cores: int) -> Iterator[bool]:
    """Hold the calling thread, and threads started within, on the last cores: the first serve most interrupts.

    Yields whether it could: some systems know no affinity.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-n_cores:])
    try:
        yield True
    finally:
        os.sched_setaffinity(0, allowed)


def _n_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
