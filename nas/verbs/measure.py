"""`nas measure`: whether a bundle's network keeps its budget, here and now."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import STATISTIC, Device, MeasureOptions
from latency_predictors.model import exported_model
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
    """Measure the network of a bundle again, and count how often it keeps its budget."""
    report = read_report(options.bundle)
    if report["device"] is None:
        raise InputError(f"{options.bundle} names no device: its latency was predicted by a model that has none")
    device, budget_ms = Device.from_json(report["device"]), report["latency"]["budget_ms"]
    once = LatencyOptions(passes=1, measure=options.measure)
    model = exported_model(*read_network(options.bundle), device)
    latencies = []
    with progress_bar(options.repeats, "measure", "time") as bar:
        for _ in range(options.repeats):
            latencies.append(measure_networks(device, [model], once)[0].latency_ms)
            bar.update()
    return {
        "budget_ms": budget_ms,
        "within_budget": sum(latency <= budget_ms for latency in latencies),
        "repeats": options.repeats,
        "lowest_ms": min(latencies),
        "highest_ms": max(latencies),
        "statistic": STATISTIC,
        "latencies_ms": latencies,
    }
