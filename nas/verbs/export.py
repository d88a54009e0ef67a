"""`nas export`: the network that a search found, as a bundle of files."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from latency_predictors.counts import count_module
from latency_predictors.device import STATISTIC, Device
from latency_predictors.fingerprint import fingerprint
from nas.data import Dataset
from nas.evaluation.shared_weights import SharedWeights, estimate_statistics, score
from nas.export import describe_input, to_model, write_network, write_report
from nas.finalists import FinalistOptions, Latency, measure_networks
from nas.run_directory import begin_run, digest, finish_run, read_asked, read_run
from nas.training import TrainingOptions, finetune
from nas.verbs.search import FINALISTS, FINALISTS_SCHEMA, load_supernet, load_table
from search_spaces import Architecture, SearchSpace, Shape
from search_spaces.errors import InputError
from search_spaces.storage import read_json


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ExportOptions:
    """What is done to the found network before it is handed out."""

    finetune: bool = Field(default=False, description="train the extracted network on before exporting it")
    training: TrainingOptions = TrainingOptions(epochs=10, learning_rate=0.01)
    latency: FinalistOptions = FinalistOptions()


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ExportConfig:
    """What is exported, and where to."""

    search: Path = Field(description="output directory of `nas search`")
    output: Path = Field(description="directory for the bundle")
    export: ExportOptions = ExportOptions()


def export(options: ExportConfig) -> dict[str, Any]:
    """Export the network that a search found, measured once more and with its accuracy on the test images."""
    asked, _ = read_run(options.search, "search")
    searched = asked["options"]
    supernet_directory, table_path = Path(searched["supernet"]), Path(searched["table"])
    table = load_table(table_path, searched["allow_foreign_table"])
    supernet, data = load_supernet(supernet_directory)
    inputs = {**asked["inputs"], "finalists": digest(options.search / FINALISTS)}
    if (done := begin_run(options.output, "export", options, inputs)) is not None:
        return done
    found = read_json(options.search / FINALISTS, FINALISTS_SCHEMA)
    weights = SharedWeights(supernet, data, n_statistics=searched["search"]["n_statistics"])
    exported = _keeping_budget(weights, table.device, found, options.export)
    training: dict[str, Any] = {"finetuned": options.export.finetune}
    if options.export.finetune:
        training |= _finetune(exported.network, data, exported.resolution, options.export.training)
        exported = _measured(exported.network, weights.space, exported.finalist, table.device, options.export)
        _require(exported, found["budget_ms"])
    report = {
        "architecture": exported.architecture.id,
        "space": weights.space.to_json(),
        "data": {"name": data.name, "fingerprint": data.fingerprint, "notes": list(data.notes)},
        "input": describe_input(data, exported.resolution),
        "latency": _latency(exported.latency, exported.finalist["predicted_ms"], found["budget_ms"]),
        "device": table.device.to_json(),
        "accuracy": _accuracy(exported.network, data, exported.resolution) | training,
        "counts": dataclasses.asdict(count_module(exported.network, torch.zeros(1, *exported.input_shape))),
        "parity": exported.difference,
        "fingerprint": fingerprint(),
        "seed": searched["search"]["seed"],
        "commands": {"train": read_asked(supernet_directory)["command"], "search": asked["command"]},
    }
    write_network(options.output, exported.model, exported.network, weights.space, exported.architecture)
    write_report(options.output, report, data)
    result = {"bundle": str(options.output), **_summary(report)}
    finish_run(options.output, result)
    return result


@dataclasses.dataclass(frozen=True)
class _Exported:
    """A network as it may be handed out, measured in that form."""

    finalist: Mapping[str, Any]
    architecture: Architecture
    input_shape: Shape
    network: nn.Module
    model: bytes
    difference: float
    latency: Latency

    @property
    def resolution(self) -> int:
        return self.input_shape[-1]


def _keeping_budget(
    weights: SharedWeights, device: Device, found: Mapping[str, Any], options: ExportOptions
) -> _Exported:
    """Return the first finalist that keeps the budget when it is measured again."""
    kept = [finalist for finalist in found["finalists"] if finalist["meets_budget"]]
    if not kept:
        raise InputError(f"no finalist kept {found['budget_ms']:.4g} ms: search again with a higher budget")
    for finalist in kept:
        network = weights.extract(Architecture(finalist["architecture"])).cpu()
        exported = _measured(network, weights.space, finalist, device, options)
        if exported.latency.latency_ms <= found["budget_ms"]:
            return exported
    _require(exported, found["budget_ms"])
    raise AssertionError("the last finalist breaks the budget")


def _measured(
    network: nn.Module, space: SearchSpace, finalist: Mapping[str, Any], device: Device, options: ExportOptions
) -> _Exported:
    architecture = Architecture(finalist["architecture"])
    model, difference = to_model(network, space, architecture)
    (latency,) = measure_networks(device, [model], options.latency.passes, options.latency.measure)
    shape = space.input_shape(architecture)
    return _Exported(finalist, architecture, shape, network, model, difference, latency)


def _require(exported: _Exported, budget_ms: float) -> None:
    if exported.latency.latency_ms > budget_ms:
        raise InputError(
            f"{exported.architecture.id} takes {exported.latency.latency_ms:.4g} ms now, over the budget of "
            f"{budget_ms:.4g} ms: measure on a quiet machine, or search with a higher budget"
        )


def _finetune(network: nn.Module, data: Dataset, resolution: int, options: TrainingOptions) -> dict[str, Any]:
    """Train the network further, in place; return its validation accuracy before."""
    before = score(network, data, data.validation, resolution)["accuracy"]
    finetune(network, data, resolution, options)
    estimate_statistics(network, data, resolution)
    network.eval()
    return {"validation_before_finetuning": before}


def _latency(latency: Latency, predicted_ms: float, budget_ms: float) -> dict[str, Any]:
    measured = dataclasses.asdict(latency)
    measured_ms = measured.pop("latency_ms")
    return {
        "measured_ms": measured_ms,
        "predicted_ms": predicted_ms,
        "budget_ms": budget_ms,
        "statistic": STATISTIC,
        **measured,
    }


def _accuracy(network: nn.Module, data: Dataset, resolution: int) -> dict[str, Any]:
    """Return accuracy on validation and test images; nothing else ever reads the latter."""
    test = data.read_test()
    return {
        "validation": score(network, data, data.validation, resolution)["accuracy"],
        "validation_images": len(data.validation),
        "test": score(network, data, test, resolution)["accuracy"],
        "test_images": len(test),
    }


def _summary(report: dict[str, Any]) -> dict[str, Any]:
    return {
        "architecture": report["architecture"],
        "test_accuracy": report["accuracy"]["test"],
        "validation_accuracy": report["accuracy"]["validation"],
        "measured_ms": report["latency"]["measured_ms"],
        "predicted_ms": report["latency"]["predicted_ms"],
        "budget_ms": report["latency"]["budget_ms"],
        "statistic": report["latency"]["statistic"],
        "onnx_difference": report["parity"],
        "n_parameters": report["counts"]["n_parameters"],
        "macs": report["counts"]["macs"],
    }
