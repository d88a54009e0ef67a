"""Labelled images as training and searching see them, and how they are loaded."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nas.data.dataset import ALL, Dataset, Part
from nas.data.images.augmentation import augment, normalise
from nas.data.images.decoding import Form
from nas.data.images.images import Images
from nas.data.images.partition import partition
from nas.data.images.scanning import Scan, scan
from nas.data.options import Augmentation, DataOptions
from nas.data.parts import repetitions, require_whole
from nas.data.source import DIGITS
from search_spaces.errors import InputError
from search_spaces.storage import write_atomic

_IMAGE_SIZE = 32

logger = logging.getLogger(__name__)


_EXAMPLE = "example.png"

_SNIPPET = """\
import json, numpy as np, onnxruntime, PIL.Image, PIL.ImageOps
spec = json.load(open("report.json"))["input"]
side = spec["tensors"]["input"]["shape"][-1]
image = PIL.ImageOps.fit(PIL.Image.open("example.png").convert(spec["mode"]), [side] * 2, PIL.Image.BILINEAR)
x = ((np.atleast_3d(np.asarray(image)) / 255 - spec["mean"]) / spec["std"]).transpose(2, 0, 1)[None].astype("float32")
options = onnxruntime.SessionOptions()
options.add_free_dimension_override_by_name("batch", 1)  # as latency was measured; leave it out for any batch size
print(spec["classes"][onnxruntime.InferenceSession("model.onnx", options).run(None, {"input": x})[0].argmax()])
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageDataset(Dataset):
    """Labelled images.

    Attributes:
        train: images to train on.
        validation: images to search and choose by.
        mean: per channel, of the training images' pixels in 0..1.
        std: likewise.
        flip: whether a horizontal flip keeps the label.
    """

    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "cross_entropy")
    examples: ClassVar[str] = "images"
    onnx_takes: ClassVar[str] = "any batch size"
    augmented_by: ClassVar[tuple[str, ...]] = ("crop", "flip")
    scored_at_once: ClassVar[int] = 256
    n_statistics: ClassVar[int] = 1024

    train: Images
    validation: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool

    @property
    def channels(self) -> int:
        """Of the images: 1 or 3."""
        return len(self.mean)

    def batch(self, part: Part, indices: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        assert isinstance(part, Images)
        images = normalise(part[indices], self.mean, self.std, device)
        return images.contiguous(memory_format=torch.channels_last), part.labels[indices].to(device)

    def augmented(
        self,
        indices: Tensor,
        device: torch.device,
        augmentation: Augmentation,
        generator: torch.Generator,
        share: slice = ALL,
    ) -> tuple[Tensor, Tensor]:
        images, labels = self.batch(self.train, indices[share], device)
        return augment(images, augmentation, self.flip, generator, share.start, len(indices)), labels

    def space_options(self) -> dict[str, Any]:
        return {"n_classes": len(self.classes), "in_channels": self.channels}

    def describe(self) -> dict[str, Any]:
        return {
            "layout": "batch, channel, height, width",
            "mode": "L" if self.channels == 1 else "RGB",
            "mean": list(self.mean),
            "std": list(self.std),
            "scale": "pixels / 255, then (pixels - mean) / std by channel",
            "classes": list(self.classes),
        }

    def write_example(self, directory: Path) -> None:
        pixels = self.validation[torch.tensor([0])][0]
        image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy().squeeze()))
        write_atomic(directory / _EXAMPLE, lambda temporary: image.save(temporary, format="png"))

    @property
    def snippet(self) -> str:
        return _SNIPPET

    @property
    def requirements(self) -> str:
        return "numpy onnxruntime pillow"


def load_images(options: DataOptions) -> ImageDataset:
    """Read a data set of images, check that every image can be decoded, and split it.

    Raises:
        InputError: the data cannot be used as they are; the message says how to mend them.
    """
    side = options.image_size or _IMAGE_SIZE
    options = dataclasses.replace(options, image_size=side)
    name = Path(options.source).expanduser().absolute().name.removesuffix(".parquet")
    examples, notes = partition(options)
    form = Form(options.channels, side)
    n_bytes = form.channels * form.side**2 * sum(map(len, examples.values()))
    keep = n_bytes <= options.memory_gb * 1e9
    scans = {part: scan(found, form, keep and part != "test", f"{name}: {part}") for part, found in examples.items()}
    skipped = _skipped(options, scans)
    digests = {part: found.digests for part, found in scans.items()}
    notes = (*notes, *repetitions(digests, options, ImageDataset.examples))
    for note in notes:
        logger.warning("%s %s", name, note)
    mean, std = scans["train"].mean_and_std()
    return ImageDataset(
        name=name,
        options=options,
        classes=examples["train"].classes,
        train=scans["train"].images(),
        validation=scans["validation"].images(),
        mean=mean,
        std=std,
        flip=options.source != DIGITS,
        fingerprint=_fingerprint(options, scans),
        test_reader=partial(_read_test, scans["test"], keep),
        skipped=skipped,
        notes=notes,
    )


def _read_test(test: Scan, keep: bool) -> Images:
    images = test.images()
    return Images(images.labels, images[torch.arange(len(images))]) if keep else images


def _skipped(options: DataOptions, scans: Mapping[str, Scan]) -> tuple[str, ...]:
    """Return the unreadable images, if they may be left out and leave some of every class in every part."""
    skipped = [f"{found.examples.place(i)} {why}" for found in scans.values() for i, why in found.problems.items()]
    require_whole(skipped, options, ImageDataset.examples)
    for part, found in scans.items():
        present = set(found.readable().labels.tolist())
        absent = [name for label, name in enumerate(found.examples.classes) if label not in present]
        if absent:
            raise InputError(f"no readable image of class {absent[0]!r} is in the {part} part: add some")
    return tuple(skipped)


def _fingerprint(options: DataOptions, scans: Mapping[str, Scan]) -> str:
    split = [options.validation_fraction, options.split_seed, options.channels, options.image_size]
    digest = hashlib.sha256(json.dumps([scans["train"].examples.classes, split]).encode())
    for part, found in scans.items():
        digest.update(f"{part} {len(found.digests)}".encode())
        digest.update(found.examples.labels.numpy().tobytes())
        digest.update(b"".join(found.digests))
    return digest.hexdigest()
