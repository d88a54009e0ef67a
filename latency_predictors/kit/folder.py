"""Kits as folders: models as files, what to measure side by side, and the one file of Python that measures it."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

import latency_predictors
from latency_predictors import runtimes
from latency_predictors.device import Device, MeasureOptions
from latency_predictors.model import Model
from latency_predictors.on_device.kit import KIT_SCHEMA, content_id
from search_spaces.storage import write_atomic, write_json

SCRIPT = "measure.pyz"
_FILES = "files"
_MAIN = "import sys\n\nfrom latency_predictors.on_device.__main__ import main\n\nsys.exit(main())\n"

Part = tuple[Mapping[str, Model], MeasureOptions]
"""Models to measure side by side, and for how long."""


def write_kit(path: Path, device: Device, parts: Iterable[Part], described: Mapping[str, Any] | None = None) -> str:
    """Write a kit, its files first: what is there whole is not written again.

    Args:
        path: `NAME.json` of the kit; its files and the script come into the same folder.
        device: what the kit is for; it must be one that kits serve.
        parts: what is measured, pass by pass.
        described: what else the kit says of itself, as plain values.

    Returns:
        The kit's id, which stands for all that it holds.
    """
    files, passes = _Files(path.parent), []
    written: WeakKeyDictionary[Model, dict[str, str]] = WeakKeyDictionary()  # whole networks are in many passes
    for models, options in parts:
        for model in models.values():
            if model not in written:
                written[model] = files.add_model(model, device)
        passes.append({"options": asdict(options), "models": {name: written[model] for name, model in models.items()}})
    device = replace(device, host=None)  # not the device's to know
    document = {**(described or {}), "device": device.to_json(), "files": files.sizes, "passes": passes}
    kit_id = content_id(json.dumps(document).encode())
    write_atomic(path.with_name(SCRIPT), lambda temporary: temporary.write_bytes(script()))
    write_json(path, KIT_SCHEMA, {"id": kit_id, **document})
    return kit_id


def script() -> bytes:
    """Return the package `latency_predictors.on_device` as one file that Python runs."""
    root, written = Path(latency_predictors.__file__).parent, io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), _MAIN)  # dates would make equal files differ
        for file in [root / "__init__.py", *sorted((root / "on_device").glob("*.py"))]:
            archive.writestr(zipfile.ZipInfo(file.relative_to(root.parent).as_posix()), file.read_bytes())
    return written.getvalue()


class _Files:
    """Files named by what they hold, so that what several models share is there once.

    Attributes:
        sizes: in bytes, by path from the kit's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sizes: dict[str, int] = {}

    def add_model(self, model: Model, device: Device) -> dict[str, str]:
        """Write a model as the device runs it, what it is fed and what comes of that; return the paths."""
        converted = runtimes.load(device.runtime).convert(model, device)
        return {
            "model": self.add("onnx", converted.content),
            "feed": self.add("npz", _arrays(dict(model.feed))),
            "output": self.add("npy", _array(model.expected())),
        }

    def add(self, suffix: str, content: bytes) -> str:
        name = f"{_FILES}/{content_id(content)}.{suffix}"
        file = self._folder / name
        if not file.exists() or file.read_bytes() != content:
            write_atomic(file, lambda temporary: temporary.write_bytes(content))
        self.sizes[name] = len(content)
        return name


def _array(array: NDArray[Any]) -> bytes:
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


def _arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    written = io.BytesIO()
    np.savez(written, **arrays)  # type: ignore[arg-type]  # an input may be called as a parameter is
    return written.getvalue()
