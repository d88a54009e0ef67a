"""What a search may bound or lower, by metric: latencies on its devices, what else is known of these, and counts."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from latency_predictors.analytic.counts import COUNTS, count_models, require_countable
from latency_predictors.cost_model import CostModel
from latency_predictors.device import Device
from latency_predictors.latency_model import LatencyModel
from latency_predictors.saved_models import KINDS, model_file, read_latency_model
from nas.constraint import Constraint
from nas.objectives import FeasibleRegion, parse_budget, read_budget
from nas.search_options import SearchOptions
from search_spaces import SearchSpace
from search_spaces.errors import InputError, unknown

LATENCY = "latency_ms"
"""The latency on the first device, that of `--table`, which has no name."""

BOUNDS_HELP = (
    "further bounds, each with its metric's unit or a percentage: macs=5e6macs, n_parameters=40%, "
    "peak_activation_bytes=65536bytes; energy_mj=2mj where the latency model knows it; phone_latency_ms=8ms of a "
    "further device"
)
DEVICES_HELP = (
    "latency models of further devices, each as --table takes it, as phone=DIRECTORY: the metric phone_latency_ms is "
    "then known to bounds and costs, and finalists are measured there, too, if that can be reached"
)
HOSTS_HELP = "where further devices are now, as phone=ssh://user@host[:port]; unset: where their models say"

T = TypeVar("T")


def latency_metric(device: str) -> str:
    """Return the metric of the latency on a device."""
    return f"{device}_{LATENCY}" if device else LATENCY


def device_of(latency: str) -> str:
    """Return the device on which a metric is the latency."""
    return latency.removesuffix(LATENCY).removesuffix("_")


def beside_latency(latency: str, name: str) -> str:
    """Return what something of a device is called beside its latency: phone_measured_ms beside phone_latency_ms."""
    return latency.removesuffix(LATENCY) + name


def on(latency: str) -> str:
    """Return where a latency is of, in words that follow it; nothing for the first device."""
    device = device_of(latency)
    return f" on {device}" if device else ""


def _well_named(devices: Mapping[str, Path]) -> Mapping[str, Path]:
    for name in devices:
        if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
            raise InputError(
                f"device {name!r}: expected a name of letters, digits and underscores, as its latency is called by it"
            )
    return devices


DevicePaths = Annotated[Mapping[str, Path], AfterValidator(_well_named)]
"""Latency models of further devices, by names that a user gives these."""


def by_metric(further: Mapping[str, T], first: T | None = None) -> dict[str, T]:
    """Return what is said of devices by the metrics of their latencies, that of the first device, if any, first."""
    named = further if first is None else {"": first, **further}
    return {latency_metric(name): one for name, one in named.items()}


def read_models(paths: Mapping[str, Path], hosts: Mapping[str, str]) -> dict[str, LatencyModel]:
    """Read latency models, whosever they are; see `devices_at_hand`.

    Args:
        paths: files, or output directories that hold one, by the metrics of the latencies.
        hosts: where devices are now, likewise; those that are not named are where their models say.

    Raises:
        InputError: there is no such model, or no such device.
    """
    require_known_hosts(hosts, paths)
    models = {metric: read_latency_model(path) for metric, path in paths.items()}
    return {metric: model.moved(hosts[metric]) if metric in hosts else model for metric, model in models.items()}


def require_known_hosts(hosts: Collection[str], latencies: Collection[str]) -> None:
    """Raise unless every device of which it is said where it is has a latency among these metrics.

    Raises:
        InputError: names one that has none.
    """
    for metric in hosts:
        if metric not in latencies:
            raise unknown("device in hosts", device_of(metric), [device_of(one) for one in latencies if one != LATENCY])


def model_files(paths: Mapping[str, Path]) -> dict[str, Path]:
    """Return the files of latency models, by the metrics of their latencies, by what they are called among inputs."""
    return {
        "table" if metric == LATENCY else f"device {device_of(metric)}": model_file(path)
        for metric, path in paths.items()
    }


def cost_models(
    models: Mapping[str, LatencyModel], space: SearchSpace, wanted: Collection[str] = ()
) -> dict[str, CostModel]:
    """Return all that latency models know of what a space's networks cost, by metric, and counts if any is wanted.

    Args:
        models: by the metrics of their latencies.
        space: the space.
        wanted: metrics.

    Raises:
        InputError: nothing is known of this space.
    """
    known = {
        beside_latency(latency, metric): cost
        for latency, model in models.items()
        for metric, cost in model.cost_models(space).items()
    }
    return known | (count_models(space) if not known.keys() >= {*wanted} else {})


def feasible_region(
    models: Mapping[str, LatencyModel], space: SearchSpace, budgets: Mapping[str, str]
) -> FeasibleRegion:
    """Return the networks that keep all budgets.

    Args:
        models: by the metrics of their latencies.
        space: the space.
        budgets: by metric, as `parse_budget` takes them.

    Raises:
        InputError: there are no such networks, or a model is not of this space.
    """
    costs = cost_models(models, space, budgets)
    bounds = {metric: parse_budget(text, costs[metric], metric) for metric, text in budgets.items()}
    return FeasibleRegion(space, [Constraint(costs[metric], bound, metric) for metric, bound in bounds.items()])


def require_known_metrics(
    budgets: Mapping[str, str],
    options: SearchOptions,
    kinds: Mapping[str, type[LatencyModel]],
    space: SearchSpace,
) -> None:
    """Raise unless all that is to be bounded or lowered will be known, before anything is trained or written.

    Args:
        budgets: bounds beside the budget, by metric, as `parse_budget` takes them.
        options: name the metrics to be lowered, and proxies.
        kinds: of the latency models, by the metrics of their latencies.
        space: whose networks are counted.

    Raises:
        InputError: names the metric that is unknown, of which only a lower bound is known, that is bounded already, or
            that is called as a proxy is; a bound that is no positive number with the metric's unit; or a further device
            of which nothing is bounded or lowered.
    """
    known = [*(beside_latency(latency, metric) for latency, kind in kinds.items() for metric in kind.metrics), *COUNTS]
    if LATENCY in budgets:
        raise InputError(f"bounds {LATENCY}: that is what the budget bounds; leave it out")
    proxies = [options.proxy] if options.evaluator == "zero_cost" else []
    for option, metrics, recorded in (
        ("bounds", budgets, [*proxies, options.warm_start.proxy]),
        ("search.costs", options.costs, proxies),
    ):
        for metric in metrics:
            if metric not in known:
                raise _unknown(option, metric, known, kinds)
            if metric in recorded:
                raise InputError(f"{option} {metric}: the zero-cost proxy is called that, too; take another proxy")
            require_countable(metric, space)
    for metric, text in budgets.items():
        read_budget(text, metric)
    for latency, kind in kinds.items():
        of_device = {beside_latency(latency, metric) for metric in kind.metrics}
        if latency != LATENCY and of_device.isdisjoint((*budgets, *options.costs)):
            raise InputError(
                f"device {device_of(latency)} does nothing unless its latency, or what else is known of it, is bounded "
                f"or lowered: say --bounds {latency}=... or --search.costs {latency}, or leave it out"
            )


def require_one_precision(devices: Iterable[tuple[str, Device | None]]) -> None:
    """Raise unless devices, by the metrics of their latencies, compute in one number format, as one network is found.

    Raises:
        InputError: names two that do not.
    """
    precisions = {latency: device.precision for latency, device in devices if device is not None}
    for latency, precision in precisions.items():
        first = next(iter(precisions))
        if precision != precisions[first]:
            raise InputError(
                f"{latency} was measured in {precision}, {first} in {precisions[first]}: one network is handed out, of "
                "one precision; profile the devices in the same"
            )


def _unknown(option: str, metric: str, known: Collection[str], latencies: Collection[str]) -> InputError:
    for latency in latencies:
        if metric in (beside_latency(latency, other) for kind in KINDS for other in kind.metrics):
            given = "--table" if latency == LATENCY else f"--devices {device_of(latency)}="
            return InputError(
                f"{option} {metric}: nothing measured here tells it, and the latency model{on(latency)} knows "
                f"{latency} alone; give {given} a roofline device, or leave it out"
            )
    return unknown(f"metric in {option}", metric, known)
