"""`nas measure`: whether a bundle's network keeps its budget, here and now."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import STATISTIC, Device, MeasureOptions
from latency_predictors.model import exported_model
from nas.bounds import beside_latency
from nas.export import read_network, read_report
from nas.finalists import LatencyOptions, measure_networks
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class MeasureConfig:
    """What is measured, and how often."""

    bundle: Path = Field(description="output directory of `nas export`, or the `export` folder of `nas run`")
    repeats: int = Field(default=20, ge=1, description="times that the network is loaded and measured anew")
    measure: MeasureOptions = MeasureOptions(min_seconds=1.0, max_seconds=10.0)


def measure(options: MeasureConfig) -> dict[str, Any]:
    """Measure the network of a bundle again on its devices, and count how often it keeps its budget on each."""
    report = read_report(options.bundle)
    known = {metric: found for metric, found in report["latencies"].items() if found["device"] is not None}
    if not known:
        raise InputError(f"{options.bundle} names no device: its latency was predicted by a model that has none")
    devices = {metric: Device.from_json(found["device"]) for metric, found in known.items()}
    once = LatencyOptions(passes=1, measure=options.measure)
    network = read_network(options.bundle)
    models = {metric: exported_model(*network, device) for metric, device in devices.items()}
    latencies: dict[str, list[float]] = {metric: [] for metric in devices}
    with progress_bar(options.repeats, "measure", "time") as bar:
        for _ in range(options.repeats):
            for metric, device in devices.items():
                latencies[metric].append(measure_networks(device, [models[metric]], once)[0].latency_ms)
            bar.update()
    kept = [_kept(latencies[metric], found["budget_ms"]) for metric, found in known.items()]
    told = {
        beside_latency(metric, name): value
        for metric, one in zip(known, kept, strict=True)
        for name, value in one.items()
    }
    return {**told, "repeats": options.repeats, "statistic": STATISTIC}


def _kept(latencies_ms: list[float], budget_ms: float | None) -> dict[str, Any]:
    """Return how often latencies keep a budget, if there is one, and their range."""
    within = None if budget_ms is None else sum(latency <= budget_ms for latency in latencies_ms)
    return {
        **({} if within is None else {"budget_ms": budget_ms, "within_budget": within}),
        "lowest_ms": min(latencies_ms),
        "highest_ms": max(latencies_ms),
        "latencies_ms": latencies_ms,
    }
