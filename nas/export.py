"""The bundle: a found network as files that need nothing of this project, and a report of what was measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

from nas.data import Dataset
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError
from search_spaces.onnx import parity, to_onnx
from search_spaces.storage import read_json, write_atomic, write_json

ARCHITECTURE, ONNX, WEIGHTS, REPORT, README, EXAMPLE = (
    "architecture.json",
    "model.onnx",
    "model.safetensors",
    "report.json",
    "README.md",
    "example.png",
)
_REPORT_SCHEMA = "report/1"
_LARGEST_DIFFERENCE = 1e-4

SNIPPET = """\
import json, numpy as np, onnxruntime, PIL.Image, PIL.ImageOps
spec = json.load(open("report.json"))["input"]
image = PIL.ImageOps.fit(PIL.Image.open("example.png").convert(spec["mode"]), [spec["size"]] * 2, PIL.Image.BILINEAR)
x = ((np.atleast_3d(np.asarray(image)) / 255 - spec["mean"]) / spec["std"]).transpose(2, 0, 1)[None].astype("float32")
print(spec["classes"][onnxruntime.InferenceSession("model.onnx").run(None, {"input": x})[0].argmax()])
"""
"""Runs a bundle from within its folder."""


def to_model(network: nn.Module, space: SearchSpace, architecture: Architecture) -> tuple[bytes, float]:
    """Return a network as ONNX for any batch size, and its largest difference from torch at two batch sizes.

    Raises:
        InputError: the difference is too large for the same network.
    """
    shapes = (space.input_shape(architecture),)
    (model,) = to_onnx([network], [shapes], batch_size=None)
    difference = parity(model, network, shapes)
    if difference > _LARGEST_DIFFERENCE:
        raise InputError(
            f"onnxruntime differs from torch by {difference:.2g} in {architecture.id}: nothing was exported"
        )
    return model.SerializeToString(), difference


def write_network(
    directory: Path, model: bytes, network: nn.Module, space: SearchSpace, architecture: Architecture
) -> None:
    """Write `model.onnx`, `model.safetensors` and `architecture.json`."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    document = {"id": architecture.id, "space": space.to_json(), "choices": dict(architecture)}
    write_atomic(directory / ONNX, lambda temporary: temporary.write_bytes(model))
    write_atomic(directory / WEIGHTS, lambda temporary: temporary.write_bytes(save(tensors)))
    write_json(directory / ARCHITECTURE, "architecture/1", document)


def describe_input(data: Dataset, resolution: int) -> dict[str, Any]:
    """Return what a user of the network must know to prepare an image and to read the output."""
    return {
        "name": "input",
        "layout": "batch, channel, height, width",
        "size": resolution,
        "mode": "L" if data.channels == 1 else "RGB",
        "mean": list(data.mean),
        "std": list(data.std),
        "scale": "pixels / 255, then (pixels - mean) / std by channel",
        "classes": list(data.classes),
    }


def write_report(directory: Path, report: Mapping[str, Any], data: Dataset) -> None:
    """Write an example image, the bundle's README, and last of all `report.json`, which makes the bundle whole."""
    pixels = data.validation[torch.tensor([0])][0]
    image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy().squeeze()))
    write_atomic(directory / EXAMPLE, lambda temporary: image.save(temporary, format="png"))
    write_atomic(directory / README, lambda temporary: temporary.write_text(_readme(report)))
    write_json(directory / REPORT, _REPORT_SCHEMA, report)


def read_report(directory: Path) -> dict[str, Any]:
    """Return the report of a whole bundle.

    Raises:
        InputError: the directory holds none.
    """
    return read_json(directory / REPORT, _REPORT_SCHEMA)


def _readme(report: Mapping[str, Any]) -> str:
    latency, accuracy, device = report["latency"], report["accuracy"], report["device"]
    rows = {
        "measured latency": f"{latency['measured_ms']:.4g} ms ({latency['statistic']}, the highest of "
        f"{latency['n_passes']} passes; lowest {latency['lowest_ms']:.4g}, median {latency['median_ms']:.4g})",
        "predicted latency": f"{latency['predicted_ms']:.4g} ms",
        "latency budget": f"{latency['budget_ms']:.4g} ms, met",
        "device": f"{report['fingerprint']['cpu']}, {device['runtime']} {report['fingerprint']['onnxruntime']}, "
        f"{device['threads']} thread(s), batch {device['batch_size']}, {device['precision']}",
        "test accuracy": f"{accuracy['test']:.2%} of {accuracy['test_images']} images, read once",
        "validation accuracy": f"{accuracy['validation']:.2%} of {accuracy['validation_images']} images",
        "parameters, multiply-adds": f"{report['counts']['n_parameters']:,}, {report['counts']['macs']:,}",
        "onnxruntime against torch": f"largest difference {report['parity']:.2g}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""# Network {report["architecture"]} of {report["space"]["name"]}, for {report["data"]["name"]}

| | |
|---|---|
{table}

Run it, in this folder, with `pip install numpy onnxruntime pillow`:

```python
{SNIPPET}```

`architecture.json` says which network this is, `model.onnx` runs at any batch size, `model.safetensors` holds the
weights as torch has them, and `report.json` holds all figures, the input's normalisation, and how they were made.
"""


def model_bytes(directory: Path) -> bytes:
    """Return the bundle's ONNX file.

    Raises:
        InputError: it is missing.
    """
    path = directory / ONNX
    if not path.exists():
        raise InputError(f"{directory} holds no {ONNX}: give the output directory of `nas export` or `nas run`")
    return path.read_bytes()
