"""Labelled point clouds as training and searching see them, and how they are loaded."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nas.data.dataset import ALL, IGNORED, Dataset, Part
from nas.data.options import Augmentation, DataOptions
from nas.data.parts import TEST_FRACTION, repetitions, require_whole
from nas.data.points.augmentation import augment, thinned
from nas.data.points.clouds import N_CHANNELS, Cloud, Clouds
from nas.data.points.partition import BLOCK_TILES, partition
from nas.data.points.scanning import Example, Scan, scan
from nas.data.points.sources import Found, find_frames
from nas.data.points.tiles import FEWEST_POINTS
from nas.data.source import OBJECTS, SCENES
from search_spaces.errors import InputError
from search_spaces.points import PointClouds
from search_spaces.storage import write_atomic

# of the only frame there is, unless another size is asked for: the whole of a car, some 50 tiles around the scanner
_TILE_METRES = 12.0

_EXAMPLE = "example.npz"

_PLAIN = DataOptions("none")

_SNIPPET = """\
import json, numpy as np, onnxruntime
from inputs_from_points import inputs_from_points
spec = json.load(open("report.json"))["input"]
points = np.load("example.npz")["points"]  # (N, 4): x, y, z in metres, remission
scores = onnxruntime.InferenceSession("model.onnx").run(None, inputs_from_points(points[:, :3], points))[0]
print([spec["classes"][i] for i in scores.argmax(1)[:10]])  # of {rows}
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, kw_only=True)
class PointDataset(Dataset):
    """Point clouds with a label for each point.

    Attributes:
        task: what is asked of a network.
        rows: what the rows of its result are.
        train: clouds to train on.
        validation: clouds to search and choose by.
    """

    metrics: ClassVar[tuple[str, ...]] = ("mean_iou", "mean_iou_present", "accuracy", "cross_entropy")
    examples: ClassVar[str] = "clouds"
    onnx_takes: ClassVar[str] = "one cloud of any number of points"
    augmented_by: ClassVar[tuple[str, ...]] = ("flip", "rotation", "scale")
    scored_at_once: ClassVar[int] = 4  # some 500,000 points of whole frames
    n_statistics: ClassVar[int] = 64
    task: ClassVar[str] = "segmentation"
    rows: ClassVar[str] = "the first ten points"

    train: Clouds
    validation: Clouds

    def batch(self, part: Part, indices: Tensor, device: torch.device) -> tuple[PointClouds, Tensor]:
        assert isinstance(part, Clouds)
        points, cloud, labels = _joined([part[i] for i in indices.tolist()])
        return _point_clouds(points, cloud, len(indices), device), labels.to(device)

    def augmented(
        self,
        indices: Tensor,
        device: torch.device,
        augmentation: Augmentation,
        generator: torch.Generator,
        share: slice = ALL,
    ) -> tuple[PointClouds, Tensor]:
        clouds = [self.train[i] for i in indices.tolist()]  # all, as how much is drawn goes by their sizes
        at_most = self.options.max_points
        rows = [thinned(torch.from_numpy(cloud.labelled), at_most, generator) for cloud in clouds]
        thin = [c.take(r.numpy()) for c, r in zip(clouds, rows, strict=True)][share]
        points, cloud, labels = _joined(thin)
        points = augment(points, cloud + share.start, len(clouds), augmentation, generator)
        return _point_clouds(points, cloud, len(thin), device), labels.to(device)

    def space_options(self) -> dict[str, Any]:
        return {"n_classes": len(self.classes), "in_channels": N_CHANNELS, "task": self.task}

    def describe(self) -> dict[str, Any]:
        return {
            "layout": "points (N, 4): x, y, z in metres, remission; inputs_from_points.py makes the inputs of them",
            "task": self.task,
            "classes": list(self.classes),
            "ignored": IGNORED,
        }

    def write_example(self, directory: Path) -> None:
        cloud = self.validation[0]
        labels = {"label": cloud.labels[0]} if cloud.whole else {"labels": cloud.labels}
        arrays = {"points": cloud.points, **labels, "classes": np.array(self.classes)}

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)

        write_atomic(directory / _EXAMPLE, write)

    @property
    def snippet(self) -> str:
        return _SNIPPET.replace("{rows}", self.rows)

    @property
    def requirements(self) -> str:
        return "numpy onnxruntime"


@dataclass(frozen=True, eq=False, kw_only=True)
class ObjectDataset(PointDataset):
    """Point clouds with one label each."""

    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "cross_entropy")
    scored_at_once: ClassVar[int] = 64  # some 100,000 points
    n_statistics: ClassVar[int] = 1024
    task: ClassVar[str] = "classification"
    rows: ClassVar[str] = "the cloud"


def _joined(clouds: Sequence[Cloud]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the points (N, 4) of all clouds, the number of each point's cloud (N,), and all labels (L,)."""
    cloud = np.repeat(np.arange(len(clouds)), [len(cloud) for cloud in clouds])
    points = np.concatenate([cloud.points for cloud in clouds])
    labels = np.concatenate([cloud.labels for cloud in clouds])
    return torch.from_numpy(points), torch.from_numpy(cloud), torch.from_numpy(labels)


def _point_clouds(points: Tensor, cloud: Tensor, n_clouds: int, device: torch.device) -> PointClouds:
    points = points.to(device)
    return PointClouds(points[:, :3].contiguous(), points, cloud.to(device), n_clouds)


def load_points(options: DataOptions) -> PointDataset:
    """Read a data set of point clouds, check every cloud, and split it.

    Raises:
        InputError: the data cannot be used as they are; the message says how to mend them.
    """
    name = Path(options.source).expanduser().absolute().name.removesuffix(".npz")
    if not {SCENES, OBJECTS} & {options.source, options.test_source} and options.n_scenes != _PLAIN.n_scenes:
        raise InputError(
            f"data option n_scenes {options.n_scenes} is of {SCENES} and {OBJECTS}, not of {name}: leave it out"
        )
    found = find_frames(options.source, options)
    _require_used(options, found, name)
    if found.whole and options.tile_metres is not None:
        raise InputError(
            f"data option tile_metres {options.tile_metres:g} cuts clouds, but those of {name} are labelled as wholes: "
            "leave it out"
        )
    if options.tile_metres is None and len(found.frames) == 1 and not found.whole:
        options = dataclasses.replace(options, tile_metres=_TILE_METRES)
    scanned = _scan(found, options, name)
    separate_test, test_notes = _read_test(options, found)
    divided = partition(
        scanned.examples,
        found.parts,
        with_test=separate_test is None,
        validation_fraction=options.validation_fraction,
        split_seed=options.split_seed,
    )
    parts = {**divided, "test": divided["test"] if separate_test is None else separate_test.examples}
    skipped = [str(problem) for part in (scanned, separate_test) if part is not None for problem in part.problems]
    notes = (*found.notes, *_notes(options, found, scanned, parts), *test_notes)
    for note in notes:
        logger.warning("%s %s", name, note)
    kind = ObjectDataset if found.whole else PointDataset
    return kind(
        name=name,
        options=options,
        classes=found.classes,
        train=Clouds([example.held for example in parts["train"]]),
        validation=Clouds([example.held for example in parts["validation"]]),
        fingerprint=_fingerprint(options, found.classes, parts),
        test_reader=partial(Clouds, [example.frame for example in parts["test"]]),
        skipped=tuple(skipped),
        notes=notes,
    )


def _scan(found: Found, options: DataOptions, name: str) -> Scan:
    scanned = scan(found.frames, len(found.classes), options.tile_metres, options.memory_gb * 1e9, name)
    require_whole(scanned.problems, options, PointDataset.examples)
    if not scanned.examples:
        raise InputError(f"{name} has no usable cloud, of {len(found.frames)} frames: {_why_none(scanned, options)}")
    return scanned


def _why_none(scanned: Scan, options: DataOptions) -> str:
    if scanned.n_small_tiles:
        return (
            f"all {scanned.n_small_tiles} tiles of {options.tile_metres:g} m have fewer than {FEWEST_POINTS} points or "
            "no labelled one; raise --data.tile-metres, or give larger frames"
        )
    return f"{scanned.problems[0]}"


def _require_used(options: DataOptions, found: Found, name: str) -> None:
    """Raise if the options say how to divide what its sequences have divided already."""
    if found.parts and None not in found.parts and options.split_seed != _PLAIN.split_seed:
        raise InputError(
            f"data option split_seed {options.split_seed} does nothing: {name} is divided by its sequences; "
            "leave it out"
        )


def _read_test(options: DataOptions, training: Found) -> tuple[Scan | None, tuple[str, ...]]:
    """Return the separate test data, if there are any, and what a reader of results on them should know."""
    if options.test_source is None:
        return None, () if training.test_note is None else (training.test_note,)
    found = find_frames(options.test_source, options)
    if found.classes != training.classes:
        raise InputError(
            f"the test data {options.test_source} have the classes {', '.join(found.classes)}: expected those of the "
            f"training data, {', '.join(training.classes)}"
        )
    if found.whole != training.whole:
        one, other = ("one label", "a label a point") if found.whole else ("a label a point", "one label")
        raise InputError(f"clouds of the test data {options.test_source} have {one}, those trained on {other}")
    scanned = _scan(found, options, options.test_source)
    notes = (*found.notes, *_small_tiles(scanned))
    return scanned, tuple(f"is tested on other data, {options.test_source}, which {note}" for note in notes)


def _small_tiles(scanned: Scan) -> Iterator[str]:
    if scanned.n_small_tiles:
        yield (
            f"has {scanned.n_small_tiles} tiles with too few points or no labelled one, "
            f"which are left out with {scanned.n_points_in_small_tiles} points"
        )


def _notes(options: DataOptions, found: Found, scanned: Scan, parts: Mapping[str, Sequence[Example]]) -> Iterator[str]:
    """Yield what a reader of results on these parts should know."""
    if len(found.frames) == 1 and not found.whole:
        other = "" if options.test_source else ", so results say little about other scenes"
        yield (
            f"is one frame, cut into tiles of {options.tile_metres:g} m: its parts are blocks of "
            f"{BLOCK_TILES}x{BLOCK_TILES} tiles of the same scan{other}"
        )
    if options.test_source is None and "test" not in found.parts:
        yield f"has no test part, so {len(parts['test'])} clouds (about {TEST_FRACTION:.0%}) are set apart as one"
    yield from _small_tiles(scanned)
    for part, examples in parts.items():
        n_labels = np.sum([example.histogram for example in examples], axis=0)
        absent = [name for name, n in zip(found.classes, n_labels, strict=True) if n == 0]
        if absent:
            counted = (
                ""
                if part == "train" or found.whole
                else "; mean_iou counts them as 1, as published, mean_iou_present leaves them out"
            )
            yield f"has no {'cloud' if found.whole else 'point'} of {', '.join(absent)} in the {part} part{counted}"
    digests = {part: [example.digest for example in examples] for part, examples in parts.items()}
    yield from repetitions(digests, options, PointDataset.examples)


def _fingerprint(options: DataOptions, classes: Sequence[str], parts: Mapping[str, Sequence[Example]]) -> str:
    split = [options.validation_fraction, options.split_seed, options.tile_metres]
    digest = hashlib.sha256(json.dumps([classes, split]).encode())
    for part, examples in parts.items():
        digest.update(f"{part} {len(examples)}".encode())
        digest.update(b"".join(example.digest for example in examples))
    return digest.hexdigest()
