"""The bundle: a found network as files that need nothing of this project, and a report of what was measured."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

import search_spaces
from nas.bounds import on
from nas.data import Dataset
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError
from search_spaces.onnx import parity, to_onnx
from search_spaces.storage import read_json, write_atomic, write_json

ARCHITECTURE, ONNX, FLOAT32, WEIGHTS, REPORT, README = (
    "architecture.json",
    "model.onnx",
    "model.float32.onnx",
    "model.safetensors",
    "report.json",
    "README.md",
)
_ARCHITECTURE_SCHEMA = "architecture/1"
_REPORT_SCHEMA = "report/3"
_LARGEST_DIFFERENCE = 1e-4
_QUANTISED = f"""
`{ONNX}` computes in int8, with ranges from training examples: its latency and scores are those above, the scores under
onnxruntime. `{FLOAT32}` is what it was made from.
"""
_BATCH_SIZES = (2, 3, 1)  # traced with the first, compared at all


def to_model(network: nn.Module, space: SearchSpace, architecture: Architecture) -> tuple[bytes, float]:
    """Return a network as ONNX for any batch size, and its largest difference from torch at two batch sizes.

    Raises:
        InputError: the difference is too large for the same network.
    """
    generator = torch.Generator().manual_seed(0)
    examples = [space.example(architecture, batch_size, generator) for batch_size in _BATCH_SIZES]
    (model,) = to_onnx([network], [space.inputs(architecture)], examples[:1])
    difference = parity(model, network, examples)
    if not difference <= _LARGEST_DIFFERENCE:  # NaN is refused, too
        raise InputError(
            f"onnxruntime differs from torch by {difference:.2g} in {architecture.id}: nothing was exported"
        )
    return model.SerializeToString(), difference


def write_network(
    directory: Path,
    models: Mapping[str, bytes],
    network: nn.Module,
    space: SearchSpace,
    architecture: Architecture,
) -> None:
    """Write a network as ONNX files, by name, `model.safetensors`, what the space adds, and `architecture.json`."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    document = {"id": architecture.id, "space": space.to_json(), "choices": dict(architecture)}
    for name, model in models.items():
        write_atomic(directory / name, partial(Path.write_bytes, data=model))
    write_atomic(directory / WEIGHTS, lambda temporary: temporary.write_bytes(save(tensors)))
    for name, text in space.bundle_files().items():
        write_atomic(directory / name, partial(Path.write_text, data=text))
    write_json(directory / ARCHITECTURE, _ARCHITECTURE_SCHEMA, document)


def read_network(directory: Path) -> tuple[SearchSpace, Architecture, nn.Module, bytes]:
    """Return a bundle's space, architecture, network and ONNX file.

    Raises:
        InputError: one of them is missing, or damaged.
    """
    document = read_json(_held(directory, ARCHITECTURE), _ARCHITECTURE_SCHEMA, ("space", "choices"))
    content = _held(directory, ONNX).read_bytes()
    try:
        onnx.load_from_string(content)
    except DecodeError as error:
        raise InputError(f"{directory / ONNX} is not a readable ONNX file ({error}): export again") from None
    space, architecture = search_spaces.from_json(document["space"]), Architecture(document["choices"])
    network = space.build(architecture)
    try:
        network.load_state_dict(load((directory / WEIGHTS).read_bytes()))
    except (FileNotFoundError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{directory / WEIGHTS} does not hold the bundle's weights ({reason}): export again") from None
    return space, architecture, network, content


def _held(directory: Path, name: str) -> Path:
    """Return the path of a bundle's file.

    Raises:
        InputError: the directory holds none of this name.
    """
    if not (directory / name).exists():
        raise InputError(
            f"{directory} holds no {name}: give the output directory of `nas export`, or the `export` folder of "
            "`nas run`, when that is finished"
        )
    return directory / name


def describe_inputs(space: SearchSpace, architecture: Architecture) -> dict[str, Any]:
    """Return the form of each tensor that the network takes, by name."""
    return {
        spec.name: {"shape": list(spec.shape), "leading_axis": spec.axis, "dtype": spec.dtype}
        for spec in space.inputs(architecture)
    }


def write_report(directory: Path, report: Mapping[str, Any], data: Dataset) -> None:
    """Write an example, the bundle's README, and last of all `report.json`, which makes the bundle whole."""
    data.write_example(directory)
    write_atomic(directory / README, lambda temporary: temporary.write_text(_readme(report, data)))
    write_json(directory / REPORT, _REPORT_SCHEMA, report)


def read_report(directory: Path) -> dict[str, Any]:
    """Return the report of a whole bundle.

    Raises:
        InputError: the directory holds none, or it is damaged.
    """
    return read_json(_held(directory, REPORT), _REPORT_SCHEMA, ("latencies",))


def _readme(report: Mapping[str, Any], data: Dataset) -> str:
    scores, metric = report["scores"], data.metrics[0]
    rows = {
        **{
            f"{name}{on(latency)}": value
            for latency, found in report["latencies"].items()
            for name, value in _latency_rows(found).items()
        },
        **{
            name: f"{found['predicted']:,.6g}, bound {found['bound']:,.6g}, met"
            for name, found in report["bounds"].items()
        },
        f"test {metric}": f"{scores['test'][metric]:.2%}, {scores['n_test']} {scores['examples']}, read once",
        f"validation {metric}": f"{scores['validation'][metric]:.2%}, {scores['n_validation']} {scores['examples']}",
        "parameters, multiply-adds": f"{report['counts']['n_parameters']:,}, {report['counts']['macs']:,}",
        **_float32_rows(scores, metric),
        "onnxruntime against torch": f"largest difference {report['parity']:.2g}, in float32",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""# Network {report["architecture"]} of {report["space"]["name"]}, for {report["data"]["name"]}

| | |
|---|---|
{table}

Run it, in this folder, with `pip install {data.requirements}`:

```python
{data.snippet}```

`architecture.json` says which network this is, `{ONNX}` takes {data.onnx_takes}, `{WEIGHTS}` holds the
weights as torch has them, and `report.json` holds all figures, the input's normalisation, and how they were made.
{_QUANTISED if "float32" in scores else ""}"""


def _latency_rows(latency: Mapping[str, Any]) -> dict[str, str]:
    """Return what the table says of the latency on one device."""
    device, budget_ms = latency["device"], latency["budget_ms"]
    return {
        "measured latency": "not measured: no device was at hand"
        if device is None
        else f"{latency['measured_ms']:.4g} ms ({latency['statistic']}, the highest of "
        f"{latency['n_passes']} passes; lowest {latency['lowest_ms']:.4g}, median {latency['median_ms']:.4g})",
        "predicted latency": f"{latency['predicted_ms']:.4g} ms",
        "latency budget": "none" if budget_ms is None else f"{budget_ms:.4g} ms, met",
        "device": "given by a latency model alone"
        if device is None
        else f"{latency['fingerprint']['cpu']}, {device['runtime']}, "
        f"{device['threads']} thread(s), batch {device['batch_size']}, {device['precision']}",
        **{
            f"measured on examples of the {scene['quantile']:.0%} quantile by size": f"{scene['measured_ms']:.4g} ms"
            for scene in latency["by_scene"]
        },
    }


def _float32_rows(scores: Mapping[str, Any], metric: str) -> dict[str, str]:
    """Return what the table says of a network in int8 beside that in float32."""
    if (float32 := scores.get("float32")) is None:
        return {}
    return {
        f"test {metric} in float32": f"{float32['test'][metric]:.2%}",
        "classes predicted as in float32": f"{float32['agreement']:.2%} of those of the test {scores['examples']}",
    }
