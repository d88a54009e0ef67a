"""`nas measure`: whether a bundle's network keeps its budget, here and now."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import STATISTIC, Device, MeasureOptions
from latency_predictors.fingerprint import differences, fingerprint
from latency_predictors.model import exported_model
from nas.bounds import HOSTS_HELP, LATENCY, beside_latency, by_metric, require_known_hosts
from nas.export import read_network, read_report
from nas.finalists import AtHand, LatencyOptions, measure_networks
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar

logger = logging.getLogger(__name__)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class MeasureConfig:
    """What is measured, and how often."""

    bundle: Path = Field(description="output directory of `nas export`, or the `export` folder of `nas run`")
    repeats: int = Field(default=20, ge=1, description="times that the network is loaded and measured anew")
    measure: MeasureOptions = MeasureOptions(min_seconds=1.0, max_seconds=10.0)
    host: str | None = Field(
        default=None,
        description="where the first device is now, as ssh://user@host[:port]; unset: where it was",
        json_schema_extra={"flag": "on"},
    )
    hosts: Mapping[str, str] = Field(default_factory=dict, description=HOSTS_HELP)


def measure(options: MeasureConfig) -> dict[str, Any]:
    """Measure the network of a bundle again on its devices, and count how often it keeps its budget on each.

    A device that stops answering ends that; what was measured until then is told with the error.
    """
    report = read_report(options.bundle)
    known = {metric: found for metric, found in report["latencies"].items() if found["device"] is not None}
    if not known:
        raise InputError(f"{options.bundle} names no device: its latency was predicted by a model that has none")
    devices = _devices(options, known)
    once = LatencyOptions(passes=1, measure=options.measure)
    network = read_network(options.bundle)
    models = {metric: exported_model(*network, at_hand.device) for metric, at_hand in devices.items()}
    latencies: dict[str, list[float]] = {metric: [] for metric in devices}
    with progress_bar(options.repeats, "measure", "time") as bar:
        for _ in range(options.repeats):
            for metric, at_hand in devices.items():
                try:
                    (found,) = measure_networks(at_hand, [models[metric]], once)
                except InputError as error:
                    done = [_in_words(one, latencies[one], known[one]["budget_ms"]) for one in known if latencies[one]]
                    raise InputError("; ".join([str(error), *done])) from None
                latencies[metric].append(found.latency_ms)
            bar.update()
    kept = [_kept(latencies[metric], found["budget_ms"]) for metric, found in known.items()]
    told = {
        beside_latency(metric, name): value
        for metric, one in zip(known, kept, strict=True)
        for name, value in one.items()
    }
    return {**told, "repeats": options.repeats, "statistic": STATISTIC}


def _devices(options: MeasureConfig, known: Mapping[str, Any]) -> dict[str, AtHand]:
    """Return the devices that a report names, where they are now, by the metrics of their latencies.

    Raises:
        InputError: one that is said to be somewhere is not named, or one does not answer.
    """
    hosts = by_metric(options.hosts, options.host)
    if LATENCY in hosts and LATENCY not in known:
        raise InputError(
            f"at {options.host}: the first device of {options.bundle} is none to measure on; leave that out"
        )
    require_known_hosts(hosts, known)
    devices = {}
    for metric, found in known.items():
        moved = {"host": hosts[metric]} if metric in hosts else {}
        device = Device.from_json(found["device"] | moved)
        devices[metric] = AtHand(device, fingerprint(device))
        if different := differences(found["fingerprint"], devices[metric].machine, device):
            logger.warning(
                "%s is told of another machine than the report's (%s); --on and --hosts say where devices are",
                metric,
                different,
            )
    return devices


def _in_words(metric: str, latencies_ms: list[float], budget_ms: float | None) -> str:
    """Return what is known of a latency when a device stops answering."""
    kept = _kept(latencies_ms, budget_ms)
    within = f", {kept['within_budget']} within the budget" if "within_budget" in kept else ""
    n, lowest, highest = len(latencies_ms), kept["lowest_ms"], kept["highest_ms"]
    return f"{metric} was {lowest:.4g} to {highest:.4g} in {n} repeats{within}"


def _kept(latencies_ms: list[float], budget_ms: float | None) -> dict[str, Any]:
    """Return how often latencies keep a budget, if there is one, and their range."""
    within = None if budget_ms is None else sum(latency <= budget_ms for latency in latencies_ms)
    return {
        **({} if within is None else {"budget_ms": budget_ms, "within_budget": within}),
        "lowest_ms": min(latencies_ms),
        "highest_ms": max(latencies_ms),
        "latencies_ms": latencies_ms,
    }
