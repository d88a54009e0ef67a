"""The best candidates, measured on the device: what breaks the budget when measured is never handed out."""

import dataclasses
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device, Measurement, MeasureOptions
from latency_predictors.fingerprint import OtherMachineError, differences, fingerprint
from latency_predictors.latency_model import LatencyModel
from latency_predictors.measuring import measure
from latency_predictors.model import Model, network_model
from nas.bounds import LATENCY, device_of
from nas.evaluation.shared_weights import SharedWeights
from nas.executors.executor import Executor
from nas.executors.local import LocalExecutor
from nas.search import History
from search_spaces import Architecture
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar
from search_spaces.storage import Journal

logger = logging.getLogger(__name__)

_MACHINES = "machines"  # what the journal begins with: fingerprints by metric


@dataclasses.dataclass(frozen=True)
class Latency:
    """A network's latency over several passes, each with the network loaded anew.

    Attributes:
        latency_ms: the highest of the passes' low quantiles, which is what must keep a budget.
        lowest_ms: the lowest of them.
        median_ms: the median over passes of the passes' medians.
        n_passes: how many passes.
    """

    latency_ms: float
    lowest_ms: float
    median_ms: float
    n_passes: int

    @classmethod
    def of(cls, passes: Sequence[Measurement]) -> "Latency":
        """Put the passes over one network together."""
        quantiles = [measurement.quantile_ms for measurement in passes]
        median = float(np.median([measurement.median_ms for measurement in passes]))
        return cls(max(quantiles), min(quantiles), median, len(passes))


@dataclasses.dataclass(frozen=True)
class AtHand:
    """A device that can be measured on, and the machine that it was found to be: all is measured on that one.

    Attributes:
        device: the device.
        machine: its fingerprint.
    """

    device: Device
    machine: Mapping[str, str]


def devices_at_hand(
    models: Mapping[str, LatencyModel],
    hosts: Collection[str] = (),
    *,
    allow_foreign: bool = False,
    unmeasured: bool = False,
    otherwise: str = "say where its device is now with --on, or let finalists stand as predicted with --unmeasured",
    executor: Executor | None = None,
) -> dict[str, AtHand]:
    """Return the devices that networks can be measured on, by the metrics of their latencies.

    A further device that is not at hand is left out: its networks stand as they are predicted.

    Args:
        models: of the devices, by the metrics of their latencies.
        hosts: metrics of devices of which it was said where they are now: these are never left out.
        allow_foreign: whether another machine may stand for that of the first device.
        unmeasured: whether to leave the first device out, without a look where it is.
        otherwise: what can be done if the first device is not at hand.
        executor: knows where the devices are; None: here.

    Raises:
        InputError: the first device, or one of which it was said where it is, is not at hand.
    """
    executor, found = executor or LocalExecutor(), {}
    for metric, model in models.items():
        if model.device is None or (unmeasured and metric == LATENCY):
            continue
        try:
            machine = executor.measure(LatencyModel.require_at_hand, model)
        except InputError as error:
            name, foreign = device_of(metric), isinstance(error, OtherMachineError)
            if name and metric in hosts:
                raise InputError(f"device {name}: {error}; say another place in --hosts, or leave it out") from None
            if name:
                logger.warning("device %s stands as predicted, not measured: %s; --hosts says where it is", name, error)
                continue
            if not (foreign and allow_foreign):
                insist = ", or take this machine for it with --allow-foreign-table" if foreign else ""
                raise InputError(f"{error}; {otherwise}{insist}") from None
            executor.measure(Device.require_possible, model.device)
            machine = executor.measure(fingerprint, model.device)
            logger.warning("used all the same: %s", error)
        assert machine is not None  # as there is a device
        found[metric] = AtHand(model.device, machine)
    return found


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LatencyOptions:
    """How whole networks are measured."""

    passes: int = Field(default=3, ge=1, description="times that a network is loaded and measured; all must keep it")
    measure: MeasureOptions = MeasureOptions(min_seconds=2.0, max_seconds=20.0)


def measure_networks(at_hand: AtHand, models: Sequence[Model], options: LatencyOptions) -> list[Latency]:
    """Measure networks side by side, several times over.

    Raises:
        OtherMachineError: another machine stands for the device by now.
        InputError: see `latency_predictors.measuring.measure`.
    """
    named = {str(i): model for i, model in enumerate(models)}
    passes = [
        measure(at_hand.device, named, options=options.measure, machine=at_hand.machine) for _ in range(options.passes)
    ]
    return [Latency.of([found[name] for found in passes]) for name in named]


@dataclasses.dataclass(frozen=True)
class DeviceLatency:
    """A finalist's latency on one device.

    Attributes:
        predicted_ms: by the device's model.
        measured: on the device; None where that is not at hand, or there is none.
    """

    predicted_ms: float
    measured: Latency | None

    @property
    def latency_ms(self) -> float:
        """As measured, or else as predicted."""
        return self.predicted_ms if self.measured is None else self.measured.latency_ms


@dataclasses.dataclass(frozen=True)
class Finalist:
    """A candidate that was measured on all devices.

    Attributes:
        architecture: the network.
        metrics: on shared weights.
        latencies: by metric, one a device.
        meets_budget: whether it does on all devices when it is measured, or, where it is not, by the model with its
            margin.
    """

    architecture: Architecture
    metrics: dict[str, float]
    latencies: dict[str, DeviceLatency]
    meets_budget: bool

    def to_json(self) -> dict[str, Any]:
        """Return the finalist as plain values."""
        return {**dataclasses.asdict(self), "architecture": dict(self.architecture), "id": self.architecture.id}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Finalist":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError: it is something else.
        """
        fields = {name: value for name, value in document.items() if name != "id"}
        architecture, latencies = Architecture(fields.pop("architecture")), fields.pop("latencies")
        told = {
            metric: DeviceLatency(latency["predicted_ms"], latency["measured"] and Latency(**latency["measured"]))
            for metric, latency in latencies.items()
        }
        return cls(architecture=architecture, latencies=told, **fields)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FinalistOptions(LatencyOptions):
    """How candidates are measured."""

    at_a_time: int = Field(default=4, ge=1, description="candidates measured side by side")


def measured_finalists(
    weights: SharedWeights,
    models: Mapping[str, LatencyModel],
    devices: Mapping[str, AtHand],
    candidates: History,
    bounds: Mapping[str, float],
    options: FinalistOptions,
    journal: Path,
    *,
    all_of_them: bool = False,
    executor: Executor | None = None,
) -> list[Finalist]:
    """Measure candidates, best first, some side by side, until a group holds one that keeps all bounds.

    What the journal holds is not measured again. Where there is no device, all stand as they are predicted; if not even
    the first is measured on, a line says so.

    Args:
        weights: gives the networks, for whose latency the weights do not matter, and names their metrics.
        models: of all devices, by the metrics of their latencies.
        devices: those to measure on, likewise.
        candidates: evaluated on shared weights, best first.
        bounds: the highest costs allowed, by metric; all but latencies are kept by every candidate.
        options: how they are measured.
        journal: file of the finalists measured so far, below the machines that they were measured on.
        all_of_them: whether to go on to the last, as along a front.
        executor: knows where the devices are; None: here.

    Raises:
        InputError: the journal holds finalists that were measured on other devices or machines than these.
    """
    executor = executor or LocalExecutor()
    told = _Told(weights, models, candidates, bounds)
    architectures = told.architectures
    with Journal(journal) as records:
        found = _recovered(records, devices)
        header = [] if records.recovered else [{_MACHINES: {metric: one.machine for metric, one in devices.items()}}]
        if LATENCY not in devices:
            why = "the latency model names no device" if models[LATENCY].device is None else "--unmeasured says so"
            logger.warning("no finalist is measured for the budget, %s: they stand as predicted, margin included", why)
        if not devices:
            return [told.finalist(i, {}) for i in range(len(architectures))]

        with progress_bar(len(architectures), "measure", "finalist", done=len(found)) as bar:
            while len(found) < len(architectures) and (all_of_them or not any(one.meets_budget for one in found)):
                group = architectures[len(found) : len(found) + options.at_a_time]
                latencies = _measured(weights, group, devices, options, executor)
                measured = [told.finalist(i, latency) for i, latency in enumerate(latencies, len(found))]
                records.append([*header, *(one.to_json() for one in measured)])
                header = []
                found += measured
                bar.update(len(group))
    return found


def _recovered(journal: Journal, devices: Mapping[str, AtHand]) -> list[Finalist]:
    """Return the finalists of a journal, which begins with the fingerprints of the machines that measured them.

    Raises:
        InputError: it is no such journal, or the devices are others now.
    """
    if not journal.recovered:
        return []
    header, *records = journal.recovered
    machines = header.get(_MACHINES)
    if not isinstance(machines, dict) or not all(isinstance(machine, dict) for machine in machines.values()):
        raise InputError(
            f"{journal.path} does not begin with the machines that measured its finalists, as an earlier version's: "
            "move it away to measure them again"
        )
    _require_measured_on(devices, machines, journal.path)
    try:
        return [Finalist.from_json(record) for record in records]
    except (KeyError, TypeError) as error:
        raise InputError(f"{journal.path} holds a line that is no finalist ({error!r}): move it away") from None


def _require_measured_on(
    devices: Mapping[str, AtHand], machines: Mapping[str, Mapping[str, str]], journal: Path
) -> None:
    if machines.keys() != devices.keys():
        raise InputError(
            f"{journal} holds measurements of {', '.join(sorted(machines))}, and the devices at hand now are of "
            f"{', '.join(sorted(devices)) or 'none'}: bring those of before to hand, or search in another directory"
        )
    for metric, at_hand in devices.items():
        if different := differences(machines[metric], at_hand.machine, at_hand.device):
            raise InputError(
                f"{journal} holds measurements of {metric} on another machine ({different}): bring that of before to "
                "hand, or move the file away to measure all finalists on this one"
            )


class _Told:
    """Candidates as they are known before they are measured, to which what is measured is added."""

    def __init__(
        self,
        weights: SharedWeights,
        models: Mapping[str, LatencyModel],
        candidates: History,
        bounds: Mapping[str, float],
    ) -> None:
        self.architectures = weights.space.decode(candidates.population)
        self._metrics, self._candidates, self._bounds = weights.metrics, candidates, bounds
        self._costs = {metric: model.cost_model(weights.space) for metric, model in models.items()}
        self._predicted_ms = {metric: cost.predict(candidates.population) for metric, cost in self._costs.items()}

    def finalist(self, i: int, measured: Mapping[str, Latency]) -> Finalist:
        """Return the i-th candidate, by the latencies that were measured of it."""
        latencies = {
            metric: DeviceLatency(float(predicted_ms[i]), measured.get(metric))
            for metric, predicted_ms in self._predicted_ms.items()
        }
        return Finalist(
            architecture=self.architectures[i],
            metrics={name: float(self._candidates.metrics[name][i]) for name in self._metrics},
            latencies=latencies,
            meets_budget=all(
                self._highest_ms(metric, latency) <= self._bounds.get(metric, math.inf)
                for metric, latency in latencies.items()
            ),
        )

    def _highest_ms(self, metric: str, latency: DeviceLatency) -> float:
        margin = self._costs[metric].margin if latency.measured is None else 0.0
        return latency.latency_ms * (1 + margin)


def _measured(
    weights: SharedWeights,
    group: Sequence[Architecture],
    devices: Mapping[str, AtHand],
    options: LatencyOptions,
    executor: Executor,
) -> list[dict[str, Latency]]:
    """Return the latencies of each network on all devices, one device after the other."""
    models = {
        batch_size: [
            network_model(weights.space, one, weights.supernet.extract(one).cpu(), batch_size) for one in group
        ]
        for batch_size in {at_hand.device.batch_size for at_hand in devices.values()}
    }
    found = {
        metric: executor.measure(measure_networks, at_hand, models[at_hand.device.batch_size], options)
        for metric, at_hand in devices.items()
    }
    return [{metric: latencies[i] for metric, latencies in found.items()} for i in range(len(group))]
