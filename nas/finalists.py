"""The best candidates, measured on the device: what breaks the budget when measured is never handed out."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device, Measurement, MeasureOptions
from latency_predictors.latency_model import LatencyModel
from latency_predictors.measuring import measure
from latency_predictors.model import Model, network_model
from nas.evaluation.shared_weights import SharedWeights
from nas.executors.executor import Executor
from nas.executors.local import LocalExecutor
from nas.search import History
from search_spaces import Architecture
from search_spaces.progress import progress_bar
from search_spaces.storage import Journal


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


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LatencyOptions:
    """How whole networks are measured."""

    passes: int = Field(default=3, ge=1, description="times that a network is loaded and measured; all must keep it")
    measure: MeasureOptions = MeasureOptions(min_seconds=2.0, max_seconds=20.0)


def measure_networks(device: Device, models: Sequence[Model], options: LatencyOptions) -> list[Latency]:
    """Measure networks side by side, several times over."""
    named = {str(i): model for i, model in enumerate(models)}
    passes = [measure(device, named, options=options.measure) for _ in range(options.passes)]
    return [Latency.of([found[name] for found in passes]) for name in named]


@dataclasses.dataclass(frozen=True)
class Finalist:
    """A candidate that was measured on the device.

    Attributes:
        architecture: the network.
        metrics: on shared weights.
        predicted_ms: its latency by the model.
        measured: on the device; None where there is none to measure on.
        meets_budget: whether it does when it is measured, or, without a device, by the model with its margin.
    """

    architecture: Architecture
    metrics: dict[str, float]
    predicted_ms: float
    measured: Latency | None
    meets_budget: bool

    @property
    def latency_ms(self) -> float:
        """As measured, or else as predicted."""
        return self.predicted_ms if self.measured is None else self.measured.latency_ms

    def to_json(self) -> dict[str, Any]:
        """Return the finalist as plain values."""
        return {**dataclasses.asdict(self), "architecture": dict(self.architecture), "id": self.architecture.id}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Finalist":
        """Read what `to_json` returned."""
        fields = {name: value for name, value in document.items() if name != "id"}
        architecture, measured = Architecture(fields.pop("architecture")), fields.pop("measured")
        return cls(architecture=architecture, measured=measured and Latency(**measured), **fields)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FinalistOptions(LatencyOptions):
    """How candidates are measured."""

    at_a_time: int = Field(default=4, ge=1, description="candidates measured side by side")


def measured_finalists(
    weights: SharedWeights,
    model: LatencyModel,
    candidates: History,
    budget_ms: float,
    options: FinalistOptions,
    journal: Path,
    *,
    all_of_them: bool = False,
    executor: Executor | None = None,
) -> list[Finalist]:
    """Measure candidates, best first, some side by side, until a group holds one that keeps the budget.

    What the journal holds is not measured again. Without a device, all stand as they are predicted.

    Args:
        weights: gives the networks, for whose latency the weights do not matter, and names their metrics.
        model: of the device, for the predictions.
        candidates: evaluated on shared weights, best first.
        budget_ms: the highest latency allowed.
        options: how they are measured.
        journal: file of the finalists measured so far.
        all_of_them: whether to go on to the last, as along a front.
        executor: knows where the device is; None: here.
    """
    executor = executor or LocalExecutor()
    space, n = weights.space, options.at_a_time
    cost = model.cost_model(space)
    predicted_ms = cost.predict(candidates.population)
    architectures = space.decode(candidates.population)

    def finalist(i: int, latency: Latency | None) -> Finalist:
        highest_ms = float(predicted_ms[i]) * (1 + cost.margin) if latency is None else latency.latency_ms
        return Finalist(
            architecture=architectures[i],
            metrics={name: float(candidates.metrics[name][i]) for name in weights.metrics},
            predicted_ms=float(predicted_ms[i]),
            measured=latency,
            meets_budget=highest_ms <= budget_ms,
        )

    if (device := model.device) is None:
        return [finalist(i, None) for i in range(len(architectures))]

    with Journal(journal) as records:
        found = [Finalist.from_json(record) for record in records.recovered]
        with progress_bar(len(architectures), "measure", "finalist", done=len(found)) as bar:
            while len(found) < len(architectures) and (all_of_them or not any(one.meets_budget for one in found)):
                group = range(len(found), min(len(found) + n, len(architectures)))
                models = _models(weights, device, architectures, group)
                latencies = executor.measure(measure_networks, device, models, options)
                measured = [finalist(i, latency) for i, latency in zip(group, latencies, strict=True)]
                records.append([one.to_json() for one in measured])
                found += measured
                bar.update(len(group))
    return found


def _models(weights: SharedWeights, device: Device, architectures: Sequence[Architecture], group: range) -> list[Model]:
    return [
        network_model(weights.space, architectures[i], weights.supernet.extract(architectures[i]), device.batch_size)
        for i in group
    ]
