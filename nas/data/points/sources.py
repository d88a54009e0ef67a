"""Which frames a data source consists of, told from its name, its folders and its files."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.data.options import DataOptions
from nas.data.parts import TEST_FRACTION
from nas.data.points import semantic_kitti, synthetic_objects, synthetic_scenes
from nas.data.points.clouds import Frame
from nas.data.points.numpy_files import find_numpy_frames
from nas.data.points.semantic_kitti import VALIDATION_SEQUENCE, KittiFrame, find_kitti_frames, is_kitti
from nas.data.points.synthetic_objects import SyntheticObject
from nas.data.points.synthetic_scenes import SyntheticFrame
from nas.data.source import OBJECTS, SCENES, require_source
from search_spaces.errors import InputError


@dataclass(frozen=True, eq=False)
class Found:
    """The frames of a source.

    Attributes:
        classes: class names; a label is an index into them.
        frames: in the order of their names.
        parts: for each frame, the part that it belongs to if that is settled.
        notes: what a reader of results on this data should know.
        whole: whether each frame has one label, not one for each point.
        test_note: the same where the frames that are settled as 'test' are those that are tested on.
    """

    classes: tuple[str, ...]
    frames: Sequence[Frame]
    parts: Sequence[str | None]
    notes: tuple[str, ...] = ()
    whole: bool = False
    test_note: str | None = None


def holds_points(source: str) -> bool:
    """Return whether a source is one of point clouds: synthetic ones, `.npz` files, or SemanticKITTI's folders.

    Raises:
        InputError: there is no such source, it could be either, or is but a part of SemanticKITTI's folder.
    """
    require_source(source)
    path = Path(source).expanduser()
    if not path.is_dir():
        return source in (SCENES, OBJECTS) or path.suffix == ".npz"
    if is_kitti(path):
        return True
    if path.name == "velodyne" or any((entry / "velodyne").is_dir() for entry in path.iterdir()):
        raise InputError(
            f"{source} is a part of SemanticKITTI's folder: give the one above it, {path.absolute().parent}"
        )
    clouds = _numpy_files(path)
    others = sorted(entry for entry in path.iterdir() if entry.is_dir() or entry.suffix == ".parquet")
    others = [entry for entry in others if not entry.name.startswith(".")]
    if clouds and others:
        raise InputError(
            f"{source} may hold clouds ({clouds[0].name}) or images ({others[0].name}): give each a folder of its own"
        )
    return bool(clouds)


def find_frames(source: str, options: DataOptions) -> Found:
    """Return the frames of a source of point clouds, the one that the options name or that of their test data.

    Raises:
        InputError: the source holds none, a file is damaged or missing, or the frames have not all the same classes.
    """
    if source == SCENES:
        note = f"is synthetic: {options.n_scenes} generated road scenes under a simulated scanner, no recorded scans"
        scenes = [SyntheticFrame(number) for number in range(options.n_scenes)]
        return Found(synthetic_scenes.CLASSES, scenes, [None] * len(scenes), (note,))
    if source == OBJECTS:
        note = f"is synthetic: the surfaces of {options.n_scenes} generated solids, no recorded scans"
        objects = [SyntheticObject(number) for number in range(options.n_scenes)]
        return Found(synthetic_objects.CLASSES, objects, [None] * len(objects), (note,), whole=True)
    path = Path(source).expanduser()
    if not holds_points(source):
        raise InputError(
            f"{source} holds no point clouds: expected {SCENES}, {OBJECTS}, an .npz file or a folder of "
            "them, or SemanticKITTI's folder"
        )
    if path.is_dir() and is_kitti(path):
        frames, notes = find_kitti_frames(path)
        parts = _parts_by_sequence(frames, options.validation_fraction)
        more, test_note = _notes(frames, parts, options.validation_fraction)
        return Found(semantic_kitti.CLASSES, frames, parts, (*notes, *more), test_note=test_note)
    found = find_numpy_frames([path] if path.is_file() else _numpy_files(path))
    return Found(found[0].classes, found, [None] * len(found), whole=found[0].whole)


def _numpy_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))


def _parts_by_sequence(frames: Sequence[KittiFrame], validation_fraction: float) -> list[str | None]:
    """Return the part of each frame: sequence 08 validates, as published, and the end of every other one tests.

    Neighbouring frames show nearly the same, so what validates and tests is no random choice among them: where there is
    no sequence 08 beside others, what comes before the end of every sequence validates.
    """
    by_sequence: dict[str | None, list[int]] = defaultdict(list)
    for number, frame in enumerate(frames):
        by_sequence[frame.sequence].append(number)
    parts: list[str | None] = ["train"] * len(frames)
    published = _has_published_validation(frames)
    if published:
        for number in by_sequence.pop(VALIDATION_SEQUENCE):
            parts[number] = "validation"
    for numbers in by_sequence.values():
        n_test = round(len(numbers) * TEST_FRACTION)
        n_validation = 0 if published else round((len(numbers) - n_test) * validation_fraction)
        for number in numbers[len(numbers) - n_test - n_validation : len(numbers) - n_test]:
            parts[number] = "validation"
        for number in numbers[len(numbers) - n_test :]:
            parts[number] = "test"
    if not {"train", "validation", "test"} <= set(parts):  # too few frames to have neighbours
        return [part if part == "validation" and published else None for part in parts]
    return parts


def _has_published_validation(frames: Sequence[KittiFrame]) -> bool:
    sequences = {frame.sequence for frame in frames}
    return VALIDATION_SEQUENCE in sequences and len(sequences) > 1


def _notes(
    frames: Sequence[KittiFrame], parts: Sequence[str | None], validation_fraction: float
) -> tuple[tuple[str, ...], str | None]:
    """Return what to know of parts that sequences settle: of validation, and of the test part."""
    if None in parts:
        return (), None
    before = f"the {validation_fraction:.0%} of every sequence before its last {TEST_FRACTION:.0%}"
    validated = f"sequence {VALIDATION_SEQUENCE}" if _has_published_validation(frames) else before
    return (
        (f"is validated on {validated}: neighbouring frames show nearly the same",),
        f"is tested on the last {TEST_FRACTION:.0%} of every sequence",
    )
