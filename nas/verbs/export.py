"""`nas export`: the network that a search found, as a bundle of files."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from latency_predictors.counts import count_module
from latency_predictors.device import STATISTIC
from latency_predictors.fingerprint import fingerprint
from nas.data import Dataset
from nas.evaluation.shared_weights import SharedWeights, estimate_statistics, score
from nas.export import describe_input, export_network, model_bytes, write_report
from nas.finalists import FinalistOptions, Latency, measure_networks
from nas.run_directory import begin_run, finish_run, read_run
from nas.training import TrainingOptions, finetune
from nas.verbs.search import FINALISTS, FINALISTS_SCHEMA, load_supernet, load_table
from search_spaces import Architecture, SearchSpace
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
    table = load_table(Path(asked["options"]["table"]), asked["options"]["allow_foreign_table"])
    supernet, data = load_supernet(Path(asked["options"]["supernet"]))
    begin_run(options.output, "export", options)
    found = read_json(options.search / FINALISTS, FINALISTS_SCHEMA)
    budget_ms = found["budget_ms"]
    space, weights = supernet.space, SharedWeights(supernet, data)
    for finalist in (entry for entry in found["finalists"] if entry["meets_budget"]):
        architecture = Architecture(finalist["architecture"])
        network = weights.extract(architecture)
        network, training = _finetuned(network, data, space.input_shape(architecture)[-1], options.export)
        difference = export_network(options.output, network, space, architecture)
        model, latency_options = model_bytes(options.output), options.export.latency
        (latency,) = measure_networks(table.device, [model], latency_options.passes, latency_options.measure)
        if latency.latency_ms <= budget_ms:
            break
    else:
        raise InputError(
            f"no finalist of {options.search} keeps {budget_ms:.4g} ms any more (the last takes "
            f"{latency.latency_ms:.4g} ms): measure on a quiet machine, or search with a higher budget"
        )
    report = {
        "architecture": architecture.id,
        "space": space.to_json(),
        "data": {"name": data.name, "fingerprint": data.fingerprint, "notes": list(data.notes)},
        "input": describe_input(data, space.input_shape(architecture)[-1]),
        "latency": _latency(latency, finalist["predicted_ms"], budget_ms),
        "device": table.device.to_json(),
        "accuracy": _accuracy(network, data, space, architecture) | training,
        "counts": dataclasses.asdict(count_module(network, torch.zeros(1, *space.input_shape(architecture)))),
        "parity": difference,
        "fingerprint": fingerprint(),
        "seed": asked["options"]["search"]["seed"],
        "commands": {
            "search": asked["command"],
            "training": read_run(Path(asked["options"]["supernet"]))[0]["command"],
        },
    }
    write_report(options.output, report, data)
    result = {"bundle": str(options.output), **_summary(report)}
    finish_run(options.output, result)
    return result


def _finetuned(
    network: nn.Module, data: Dataset, resolution: int, options: ExportOptions
) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network as it is to be exported, and its validation accuracy before and after fine-tuning."""
    if not options.finetune:
        return network, {"finetuned": False}
    before = score(network, data, data.validation, resolution)["accuracy"]
    finetune(network, data, resolution, options.training)
    estimate_statistics(network, data, resolution)
    network.eval()
    return network, {"finetuned": True, "validation_before_finetuning": before}


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


def _accuracy(network: nn.Module, data: Dataset, space: SearchSpace, architecture: Architecture) -> dict[str, Any]:
    """Return accuracy on validation and test images; nothing else ever reads the latter."""
    resolution, test = space.input_shape(architecture)[-1], data.read_test()
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
