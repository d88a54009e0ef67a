"""Timing models side by side until their latencies are stable."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from latency_predictors.on_device.machine import clock_mhz, load_average, pinned
from latency_predictors.on_device.runner import Runner

STATISTIC, QUANTILE = "q10", 0.10
"""Latencies and budgets mean the 10 % quantile over runs: what neighbours on the machine add is left out."""

_WARMUP_WINDOWS = 10  # at most


def measure(
    names: Sequence[str],
    load: Callable[[str], Runner],
    options: Mapping[str, Any],
    threads: int,
    on_round: Callable[[], object] = lambda: None,
    cores: Sequence[int] | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure models side by side: every round visits each of them once, in an order drawn anew.

    Args:
        names: of the models.
        load: returns a model by name.
        options: the fields of `latency_predictors.device.MeasureOptions`.
        threads: how many cores to hold the runs on.
        on_round: called after each round.
        cores: which ones; None for the last.

    Returns:
        The fields of `latency_predictors.device.Measurement`, by name.
    """
    with pinned(threads, cores) as core:
        runners = [load(name) for name in names]
        for runner in runners:
            _warm_up(runner, options)
        runs_ms, clocks_mhz = _interleave(runners, options, core, on_round)
    stable = _stable(runs_ms, options["tolerance"])
    clock = float(np.median(clocks_mhz)) if clocks_mhz else None
    conditions = {"pinned": core is not None, "clock_mhz": clock, "load": load_average()}
    return {name: {**_summary(runs_ms[i]), "stable": bool(stable[i]), **conditions} for i, name in enumerate(names)}


def _warm_up(runner: Runner, options: Mapping[str, Any]) -> None:
    """Run a model until it becomes no faster: code is compiled, memory is found, clocks rise."""
    before_ms = float("inf")
    for _ in range(_WARMUP_WINDOWS):
        now_ms = min(runner.time_ms() for _ in range(options["warmup_runs"]))
        if now_ms > before_ms * (1 - options["tolerance"]):
            return
        before_ms = now_ms


def _interleave(
    runners: Sequence[Runner], options: Mapping[str, Any], core: int | None, on_round: Callable[[], object]
) -> tuple[Any, list[float]]:
    """Run every model in every round, until the latencies are stable or the time is over.

    Returns:
        Durations in ms, (models, rounds, runs of a visit), and the clocks that were read.
    """
    rng = np.random.default_rng(options["seed"])
    rounds: list[Any] = []
    clocks_mhz: list[float] = []
    next_check = options["min_rounds"]
    start_s = time.monotonic()
    for done in itertools.count(1):
        rounds.append(_round(runners, options["runs_per_visit"], rng))
        clocks_mhz += clock_mhz(core)
        on_round()
        elapsed_s = time.monotonic() - start_s
        if done >= options["min_rounds"] and elapsed_s >= options["max_seconds"]:
            break
        if done >= next_check and elapsed_s >= options["min_seconds"]:
            stable = _stable(np.concatenate(rounds, axis=1), options["tolerance"])
            if np.mean(stable) >= options["stable_share"]:
                break
            next_check = done + done // 10 + 1  # a check looks at all rounds, so checks become rarer
    return np.concatenate(rounds, axis=1), clocks_mhz


def _round(runners: Sequence[Runner], runs_per_visit: int, rng: np.random.Generator) -> Any:
    """Visit every model once, in an order drawn anew; return (models, 1, runs of a visit)."""
    runs_ms = np.empty((len(runners), 1, runs_per_visit))
    for index in rng.permutation(len(runners)):
        runs_ms[index, 0] = _visit(runners[index], runs_per_visit)
    return runs_ms


def _visit(runner: Runner, n_runs: int) -> list[float]:
    """Return the durations in ms of consecutive runs, after one that brings the model back into the caches.

    The run after another model takes up to twice as long. Sums of such runs predict whole networks worse (4.4 % error
    after calibration on 10 networks of 0.3 to 0.6 ms, against 1.3 % without them).
    """
    runner.run()
    return [runner.time_ms() for _ in range(n_runs)]


def _stable(runs_ms: Any, tolerance: float) -> Any:
    """Return (models,): whether the second half of the rounds left the quantile where the first half had put it."""
    n_rounds = runs_ms.shape[1]
    before, after = (np.quantile(part, QUANTILE, axis=(1, 2)) for part in (runs_ms[:, : n_rounds // 2], runs_ms))
    return np.abs(before - after) <= tolerance * after


def _summary(runs_ms: Any) -> dict[str, Any]:
    quantile_ms, median_ms = (float(value) for value in np.quantile(runs_ms, [QUANTILE, 0.5]))
    return {
        "quantile_ms": quantile_ms,
        "median_ms": median_ms,
        "minimum_ms": float(runs_ms.min()),
        "spread": median_ms / quantile_ms - 1,
        "n_runs": int(runs_ms.size),
    }
