"""`nas export`: the network that a search found, as a bundle of files."""

import dataclasses
import json
import math
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
from latency_predictors.device import STATISTIC
from latency_predictors.fingerprint import fingerprint
from latency_predictors.latency_model import LatencyModel
from latency_predictors.model import exported_model
from latency_predictors.quantisation import quantise
from latency_predictors.saved_models import model_file, read_latency_model
from nas.bounds import beside_latency, by_metric, cost_models, model_files, on, read_models
from nas.constraint import in_words
from nas.data import Dataset
from nas.data.dataset import Prepare
from nas.evaluation.batches import Batches
from nas.evaluation.shared_weights import SharedWeights, estimate_statistics, predictions, score
from nas.export import FLOAT32, ONNX, describe_inputs, to_model, write_network, write_report
from nas.finalists import AtHand, Latency, LatencyOptions, devices_at_hand, measure_networks
from nas.run_directory import begin_run, digest, finish_run, input_path, is_finished, read_asked, read_run
from nas.training import TrainingOptions, finetune
from nas.training.checkpoint import FILE as CHECKPOINT
from nas.verbs.profile import profiled_scenes, scene_table
from nas.verbs.search import FINALISTS, FINALISTS_SCHEMA, load_supernet, model_paths
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
    found = read_json(options.search / FINALISTS, FINALISTS_SCHEMA)
    supernet_directory, paths = input_path(options.search, "supernet"), model_paths(options.search)
    files = {"supernet": supernet_directory / CHECKPOINT, **model_files(paths)}
    _require_searched(files, asked["inputs"], options.search)
    devices = {} if is_finished(options.output) else _read_devices(paths, asked["options"])
    supernet, data = load_supernet(supernet_directory)
    data.require_heeded(options.export.training.augmentation)
    inputs = {**asked["inputs"], "finalists": digest(options.search / FINALISTS)}
    finalists = _wanted(found, options.architecture)
    if (done := begin_run(options.output, "export", options, inputs, force=options.force)) is not None:
        return done
    weights = SharedWeights(supernet, data, n_statistics=asked["options"]["search"]["n_statistics"])
    exported = _keeping_bounds(weights, devices, finalists, found["bounds"], options.export)
    training: dict[str, Any] = {"finetuned": options.export.finetune}
    if options.export.finetune:
        training |= _finetune(exported, data, options.export.training, options.output / _FINETUNED)
        exported = _measured(exported.network, weights, exported.finalist, devices, options.export)
        _require(exported, found["bounds"])
    report = {
        "architecture": exported.architecture.id,
        "space": weights.space.to_json(),
        "data": {"name": data.name, "fingerprint": data.fingerprint, "notes": list(data.notes)},
        "input": data.describe() | {"tensors": describe_inputs(weights.space, exported.architecture)},
        "latencies": _latencies(exported, weights, devices, options.export, found["bounds"]),
        "bounds": _other_bounds(exported, weights.space, devices, found["bounds"]),
        "scores": _scores(exported, data) | training,
        "counts": dataclasses.asdict(count_network(weights.space, exported.architecture, exported.network)),
        "parity": exported.difference,
        "fingerprint": fingerprint(),
        "seed": asked["options"]["search"]["seed"],
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


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is known of a device that a network was searched for.

    Attributes:
        model: of its latencies.
        at_hand: what networks are measured on; None where they stand as predicted.
        scenes: models for other sizes of examples, by the quantile of the size.
    """

    model: LatencyModel
    at_hand: AtHand | None
    scenes: Mapping[float, LatencyModel]


def _read_devices(paths: Mapping[str, Path], searched: Mapping[str, Any]) -> dict[str, _Known]:
    """Return what a search knew of its devices, by the metrics of their latencies, from where it lies now."""
    hosts = by_metric(searched.get("hosts", {}), searched["host"])  # a search of an earlier version knew of the first
    models = read_models(paths, hosts)
    foreign, unmeasured = searched["allow_foreign_table"], searched.get("unmeasured", False)
    at_hand = devices_at_hand(models, hosts, allow_foreign=foreign, unmeasured=unmeasured)
    return {
        metric: _Known(model, at_hand.get(metric), _read_scenes(model_file(paths[metric]).parent))
        for metric, model in models.items()
    }


def _read_scenes(profiled: Path) -> dict[float, LatencyModel]:
    """Return the models for other sizes of examples that lie in a directory, by the quantile of the size."""
    return {quantile: read_latency_model(scene_table(profiled, quantile)) for quantile in profiled_scenes(profiled)}


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
        latencies: by metric, on the devices that can be measured on.
    """

    finalist: Mapping[str, Any]
    architecture: Architecture
    network: nn.Module
    prepare: Prepare
    models: Mapping[str, bytes]
    difference: float
    latencies: Mapping[str, Latency]

    def broken(self, bounds: Mapping[str, float]) -> list[str]:
        """Return the metrics of the latencies that are over their bounds."""
        return [
            metric for metric, latency in self.latencies.items() if latency.latency_ms > bounds.get(metric, math.inf)
        ]


def _wanted(found: Mapping[str, Any], architecture: str | None) -> list[Mapping[str, Any]]:
    """Return the finalists that kept all bounds, best first, or the one that is named.

    Raises:
        InputError: there are none, or none of that name.
    """
    kept = {finalist["id"]: finalist for finalist in found["finalists"] if finalist["meets_budget"]}
    if not kept:
        raise InputError(f"no finalist kept {in_words(found['bounds'])}: search again with higher bounds")
    if architecture is not None and architecture not in kept:
        raise unknown("finalist within the budget", architecture, kept)
    return list(kept.values()) if architecture is None else [kept[architecture]]


def _keeping_bounds(
    weights: SharedWeights,
    devices: Mapping[str, _Known],
    finalists: Sequence[Mapping[str, Any]],
    bounds: Mapping[str, float],
    options: ExportOptions,
) -> _Exported:
    """Return the first finalist that keeps all bounds when it is measured again."""
    for finalist in finalists:
        network = weights.extract(Architecture(finalist["architecture"])).cpu()
        exported = _measured(network, weights, finalist, devices, options)
        if not exported.broken(bounds):
            return exported
    _require(exported, bounds)
    raise AssertionError("the last finalist breaks a bound")


def _measured(
    network: nn.Module,
    weights: SharedWeights,
    finalist: Mapping[str, Any],
    devices: Mapping[str, _Known],
    options: ExportOptions,
) -> _Exported:
    architecture = Architecture(finalist["architecture"])
    prepare = weights.prepare(architecture)
    content, difference = to_model(network, weights.space, architecture)
    models, latencies = {ONNX: content}, {}
    meant = [known.model.device for known in devices.values() if known.model.device is not None]
    if any(device.precision != "float32" for device in meant):  # of all, as the search required
        models = {ONNX: _quantised(content, weights.data, prepare), FLOAT32: content}
    for metric, known in devices.items():
        if known.at_hand is not None:
            model = exported_model(weights.space, architecture, network, models[ONNX], known.at_hand.device)
            (latencies[metric],) = measure_networks(known.at_hand, [model], options.latency)
    return _Exported(finalist, architecture, network, prepare, models, difference, latencies)


def _quantised(content: bytes, data: Dataset, prepare: Prepare) -> bytes:
    """Return a network in int8, with the ranges that its activations have on training examples."""
    batches = Batches(data, data.train, min(_N_CALIBRATION, data.n_statistics))
    examples = (inputs for inputs, _ in batches.prepared(prepare, torch.device("cpu")))
    return quantise(content, (feed(content, example) for example in examples))


def _latencies(
    exported: _Exported,
    weights: SharedWeights,
    devices: Mapping[str, _Known],
    options: ExportOptions,
    bounds: Mapping[str, float],
) -> dict[str, dict[str, Any]]:
    """Return what is to be reported of the latency on each device, by its metric."""
    return {
        metric: {
            **_latency(
                exported.latencies.get(metric),
                exported.finalist["latencies"][metric]["predicted_ms"],
                bounds.get(metric),
            ),
            "by_scene": _by_scene(exported, weights, known, options),
            "device": known.at_hand and known.at_hand.device.to_json(),
            "fingerprint": known.at_hand and known.at_hand.machine,
        }
        for metric, known in devices.items()
    }


def _other_bounds(
    exported: _Exported, space: SearchSpace, devices: Mapping[str, _Known], bounds: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Return what is to be reported of bounds on all but latencies, by metric: nothing measures these."""
    others = [metric for metric in bounds if metric not in devices]
    costs = cost_models({metric: known.model for metric, known in devices.items()}, space, others)
    row = space.encode([exported.architecture])
    return {metric: {"predicted": float(costs[metric].predict(row)[0]), "bound": bounds[metric]} for metric in others}


def _by_scene(
    exported: _Exported, weights: SharedWeights, known: _Known, options: ExportOptions
) -> list[dict[str, Any]]:
    """Measure the network on small, typical and large examples, and predict where there is a table of that size.

    Nothing where all examples have one size, or there is nothing to measure on.
    """
    if (at_hand := known.at_hand) is None:
        return []
    quantiles = sorted({*_SCENES, *known.scenes})
    spaces = {quantile: at_scene(weights.space, weights.data, quantile) for quantile in quantiles}
    if len(set(spaces.values())) == 1:
        return []
    models = [
        exported_model(space, exported.architecture, exported.network, exported.models[ONNX], at_hand.device)
        for space in spaces.values()
    ]
    latencies = measure_networks(at_hand, models, options.latency)
    tables = {**known.scenes, **{quantile: known.model for quantile, space in spaces.items() if space == weights.space}}
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


def _require(exported: _Exported, bounds: Mapping[str, float]) -> None:
    for metric in exported.broken(bounds):
        raise InputError(
            f"{exported.architecture.id} takes {exported.latencies[metric].latency_ms:.4g} ms{on(metric)} now, over "
            f"the budget of {bounds[metric]:.4g} ms: measure on a quiet machine, or search with a higher budget"
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


def _latency(latency: Latency | None, predicted_ms: float, budget_ms: float | None) -> dict[str, Any]:
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
        **{
            beside_latency(metric, name): latency[name]
            for metric, latency in report["latencies"].items()
            for name in ("measured_ms", "predicted_ms", "budget_ms")
        },
        "statistic": STATISTIC,
        "onnx_difference": report["parity"],
        **{metric: entry["predicted"] for metric, entry in report["bounds"].items()},
        **{count: report["counts"][count] for count in ("n_parameters", "macs")},  # exact, bounded or not
        **{f"{metric}_bound": entry["bound"] for metric, entry in report["bounds"].items()},
    }
