"""`nas export`: the network that a search found, as a bundle of files."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from latency_predictors.analytic.counts import count_network
from latency_predictors.device import STATISTIC, Device
from latency_predictors.fingerprint import fingerprint
from latency_predictors.latency_model import LatencyModel
from latency_predictors.model import exported_model
from latency_predictors.quantisation import quantise
from latency_predictors.saved_models import model_file
from nas.data import Dataset
from nas.data.dataset import Prepare
from nas.evaluation.batches import Batches
from nas.evaluation.shared_weights import SharedWeights, estimate_statistics, predictions, score
from nas.export import FLOAT32, ONNX, describe_inputs, to_model, write_network, write_report
from nas.finalists import Latency, LatencyOptions, measure_networks
from nas.run_directory import begin_run, digest, finish_run, input_path, read_asked, read_run
from nas.training import TrainingOptions, finetune
from nas.training.checkpoint import FILE as CHECKPOINT
from nas.verbs.profile import profiled_scenes, scene_table
from nas.verbs.search import FINALISTS, FINALISTS_SCHEMA, load_supernet, load_table
from nas.verbs.space_config import at_scene
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError, unknown
from search_spaces.onnx import OnnxNetwork, feed
from search_spaces.storage import read_json, write_atomic

_SCENES = (0.1, 0.5, 0.9)  # of the training examples, by size
_N_CALIBRATION = 256  # training examples, at most: their smallest and largest activations are the ranges
_FINETUNED = "finetuned.safetensors"  # kept until the export is done


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ExportOptions:
    """What is done to the found network before it is handed out."""

    finetune: bool = Field(default=False, description="train the extracted network on before exporting it")
    training: TrainingOptions = TrainingOptions(epochs=10, learning_rate=0.01)
    latency: LatencyOptions = LatencyOptions()


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ExportConfig:
    """What is exported, and where to."""

    search: Path = Field(description="output directory of `nas search`")
    output: Path = Field(description="directory for the bundle")
    export: ExportOptions = ExportOptions()
    architecture: str | None = Field(
        default=None, description="id of a finalist; unset: the best that keeps the budget"
    )
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def export(options: ExportConfig) -> dict[str, Any]:
    """Export the network that a search found, measured once more and scored on the test examples."""
    asked, _ = read_run(options.search, "search")
    searched = asked["options"]
    supernet_directory, table_path = (input_path(options.search, name) for name in ("supernet", "table"))
    files = {"supernet": supernet_directory / CHECKPOINT, "table": model_file(table_path)}
    _require_searched(files, asked["inputs"], options.search)
    at_hand = (searched["allow_foreign_table"], searched["host"])
    table = load_table(table_path, *at_hand)
    scenes = _scene_tables(table_path, *at_hand)
    supernet, data = load_supernet(supernet_directory)
    data.require_heeded(options.export.training.augmentation)
    inputs = {**asked["inputs"], "finalists": digest(options.search / FINALISTS)}
    found = read_json(options.search / FINALISTS, FINALISTS_SCHEMA)
    finalists = _wanted(found, options.architecture)
    if (done := begin_run(options.output, "export", options, inputs, force=options.force)) is not None:
        return done
    weights = SharedWeights(supernet, data, n_statistics=searched["search"]["n_statistics"])
    exported = _keeping_budget(weights, table.device, finalists, found["budget_ms"], options.export)
    training: dict[str, Any] = {"finetuned": options.export.finetune}
    if options.export.finetune:
        training |= _finetune(exported, data, options.export.training, options.output / _FINETUNED)
        exported = _measured(exported.network, weights, exported.finalist, table.device, options.export)
        _require(exported, found["budget_ms"])
    report = {
        "architecture": exported.architecture.id,
        "space": weights.space.to_json(),
        "data": {"name": data.name, "fingerprint": data.fingerprint, "notes": list(data.notes)},
        "input": data.describe() | {"tensors": describe_inputs(weights.space, exported.architecture)},
        "latency": _latency(exported.latency, exported.finalist["predicted_ms"], found["budget_ms"]),
        "latency_by_scene": _by_scene(exported, weights, table, options.export, scenes),
        "device": table.device and table.device.to_json(),
        "scores": _scores(exported, data) | training,
        "counts": dataclasses.asdict(count_network(weights.space, exported.architecture, exported.network)),
        "parity": exported.difference,
        "fingerprint": fingerprint(table.device),
        "seed": searched["search"]["seed"],
        "commands": {"train": read_asked(supernet_directory)["command"], "search": asked["command"]},
    }
    write_network(options.output, exported.models, exported.network, weights.space, exported.architecture)
    write_report(options.output, report, data)
    result = {"bundle": str(options.output), **_summary(report)}
    finish_run(options.output, result)
    (options.output / _FINETUNED).unlink(missing_ok=True)
    return result


def _require_searched(files: Mapping[str, Path], digests: Mapping[str, str], search: Path) -> None:
    """Raise unless the files are those that a search began with."""
    for name, path in files.items():
        if not path.exists() or digest(path) != digests[name]:
            raise InputError(f"{path} is not the {name} that {search} searched with: put that back, or search again")


def _scene_tables(table: Path, allow_foreign: bool, host: str | None) -> dict[float, LatencyModel]:
    """Return the tables for other sizes of examples that lie beside a table, by the quantile of the size."""
    profiled = model_file(table).parent
    return {
        quantile: load_table(scene_table(profiled, quantile), allow_foreign, host)
        for quantile in profiled_scenes(profiled)
    }


@dataclasses.dataclass(frozen=True)
class _Exported:
    """A network as it may be handed out, measured in that form.

    Attributes:
        finalist: as the search recorded it.
        architecture: of the network.
        network: in float32.
        prepare: makes its inputs of a batch.
        models: as ONNX, by file name: the first is what was measured; beside one in int8, that in float32.
        difference: of ONNX from torch in float32.
        latency: None without a device.
    """

    finalist: Mapping[str, Any]
    architecture: Architecture
    network: nn.Module
    prepare: Prepare
    models: Mapping[str, bytes]
    difference: float
    latency: Latency | None


def _wanted(found: Mapping[str, Any], architecture: str | None) -> list[Mapping[str, Any]]:
    """Return the finalists that kept the budget, best first, or the one that is named.

    Raises:
        InputError: there are none, or none of that name.
    """
    kept = {finalist["id"]: finalist for finalist in found["finalists"] if finalist["meets_budget"]}
    if not kept:
        raise InputError(f"no finalist kept {found['budget_ms']:.4g} ms: search again with a higher budget")
    if architecture is not None and architecture not in kept:
        raise unknown("finalist within the budget", architecture, kept)
    return list(kept.values()) if architecture is None else [kept[architecture]]


def _keeping_budget(
    weights: SharedWeights,
    device: Device | None,
    finalists: Sequence[Mapping[str, Any]],
    budget_ms: float,
    options: ExportOptions,
) -> _Exported:
    """Return the first finalist that keeps the budget when it is measured again."""
    for finalist in finalists:
        network = weights.extract(Architecture(finalist["architecture"])).cpu()
        exported = _measured(network, weights, finalist, device, options)
        if exported.latency is None or exported.latency.latency_ms <= budget_ms:
            return exported
    _require(exported, budget_ms)
    raise AssertionError("the last finalist breaks the budget")


def _measured(
    network: nn.Module,
    weights: SharedWeights,
    finalist: Mapping[str, Any],
    device: Device | None,
    options: ExportOptions,
) -> _Exported:
    architecture = Architecture(finalist["architecture"])
    prepare = weights.prepare(architecture)
    content, difference = to_model(network, weights.space, architecture)
    models, latency = {ONNX: content}, None
    if device is not None:
        if device.precision != "float32":
            models = {ONNX: _quantised(content, weights.data, prepare), FLOAT32: content}
        model = exported_model(weights.space, architecture, network, models[ONNX], device)
        (latency,) = measure_networks(device, [model], options.latency)
    return _Exported(finalist, architecture, network, prepare, models, difference, latency)


def _quantised(content: bytes, data: Dataset, prepare: Prepare) -> bytes:
    """Return a network in int8, with the ranges that its activations have on training examples."""
    batches = Batches(data, data.train, min(_N_CALIBRATION, data.n_statistics))
    examples = (inputs for inputs, _ in batches.prepared(prepare, torch.device("cpu")))
    return quantise(content, (feed(content, example) for example in examples))


def _by_scene(
    exported: _Exported,
    weights: SharedWeights,
    table: LatencyModel,
    options: ExportOptions,
    scenes: Mapping[float, LatencyModel],
) -> list[dict[str, Any]]:
    """Measure the network on small, typical and large examples, and predict where there is a table of that size.

    Nothing where all examples have one size, or there is nothing to measure on.
    """
    if (device := table.device) is None:
        return []
    quantiles = sorted({*_SCENES, *scenes})
    spaces = {quantile: at_scene(weights.space, weights.data, quantile) for quantile in quantiles}
    if len(set(spaces.values())) == 1:
        return []
    models = [
        exported_model(space, exported.architecture, exported.network, exported.models[ONNX], device)
        for space in spaces.values()
    ]
    latencies = measure_networks(device, models, options.latency)
    tables = {**scenes, **{quantile: table for quantile, space in spaces.items() if space == weights.space}}
    return [
        {
            "quantile": quantile,
            "measured_ms": latency.latency_ms,
            "lowest_ms": latency.lowest_ms,
            "predicted_ms": _predicted(tables[quantile], space, exported) if quantile in tables else None,
        }
        for (quantile, space), latency in zip(spaces.items(), latencies, strict=True)
    ]


def _predicted(table: LatencyModel, space: SearchSpace, exported: _Exported) -> float:
    return float(table.cost_model(space).predict(space.encode([exported.architecture]))[0])


def _require(exported: _Exported, budget_ms: float) -> None:
    if exported.latency is not None and exported.latency.latency_ms > budget_ms:
        raise InputError(
            f"{exported.architecture.id} takes {exported.latency.latency_ms:.4g} ms now, over the budget of "
            f"{budget_ms:.4g} ms: measure on a quiet machine, or search with a higher budget"
        )


def _finetune(exported: _Exported, data: Dataset, options: TrainingOptions, kept: Path) -> dict[str, Any]:
    """Train the network further, in place, unless a killed export kept what came of that; return its scores before."""
    network, prepare = exported.network, exported.prepare
    if (before := _restore(exported, kept)) is None:
        before = score(network, Batches(data, data.validation), prepare)
        finetune(network, data, prepare, options)
        estimate_statistics(network, Batches(data, data.train), prepare)
        metadata = {"architecture": exported.architecture.id, "before": json.dumps(before)}
        content = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, metadata)
        write_atomic(kept, lambda temporary: temporary.write_bytes(content))
    network.eval()
    return {"validation_before_finetuning": before}


def _restore(exported: _Exported, kept: Path) -> dict[str, float] | None:
    """Put fine-tuned weights back; return the scores before, or None if there are none of this network."""
    try:
        with safe_open(kept, "pt") as file:
            metadata = file.metadata()
            if metadata["architecture"] != exported.architecture.id:
                return None
            exported.network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (FileNotFoundError, SafetensorError):
        return None
    before: dict[str, float] = json.loads(metadata["before"])
    return before


def _latency(latency: Latency | None, predicted_ms: float, budget_ms: float) -> dict[str, Any]:
    measured = {} if latency is None else dataclasses.asdict(latency)
    measured_ms = measured.pop("latency_ms", None)
    return {
        "measured_ms": measured_ms,
        "predicted_ms": predicted_ms,
        "budget_ms": budget_ms,
        "statistic": STATISTIC,
        **measured,
    }


def _scores(exported: _Exported, data: Dataset) -> dict[str, Any]:
    """Return the scores on validation and test examples of what is handed out; no other verb reads the latter.

    Of one in int8 these are the file's, under onnxruntime; beside them stand those in float32.
    """
    parts = {"validation": Batches(data, data.validation), "test": Batches(data, data.read_test())}
    prepare = exported.prepare

    def of(network: nn.Module) -> dict[str, Any]:
        return {part: score(network, batches, prepare) for part, batches in parts.items()}

    sizes = {f"n_{part}": len(batches.indices) for part, batches in parts.items()}
    if FLOAT32 not in exported.models:
        return {"examples": data.examples, **of(exported.network), **sizes}
    handed_out = OnnxNetwork(exported.models[ONNX])
    classes = [predictions(network, parts["test"], prepare) for network in (handed_out, exported.network)]
    agreement = (classes[0] == classes[1]).double().mean().item()
    return {
        "examples": data.examples,
        **of(handed_out),
        **sizes,
        "float32": {**of(exported.network), "agreement": agreement},
    }


def _summary(report: dict[str, Any]) -> dict[str, Any]:
    float32 = report["scores"].get("float32")
    return {
        "architecture": report["architecture"],
        **({} if float32 is None else {"agreement_with_float32": float32["agreement"]}),
        **{f"test_{name}": value for name, value in report["scores"]["test"].items()},
        **{f"validation_{name}": value for name, value in report["scores"]["validation"].items()},
        "measured_ms": report["latency"]["measured_ms"],
        "predicted_ms": report["latency"]["predicted_ms"],
        "budget_ms": report["latency"]["budget_ms"],
        "statistic": report["latency"]["statistic"],
        "onnx_difference": report["parity"],
        "n_parameters": report["counts"]["n_parameters"],
        "macs": report["counts"]["macs"],
    }
