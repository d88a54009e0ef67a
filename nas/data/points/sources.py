"""Which frames a data source consists of, told from its name, its folders and its files."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.data.points import semantic_kitti, synthetic_scenes
from nas.data.points.clouds import Frame
from nas.data.points.numpy_files import find_numpy_frames
from nas.data.points.semantic_kitti import VALIDATION_SEQUENCE, KittiFrame, find_kitti_frames, is_kitti
from nas.data.points.synthetic_scenes import SyntheticFrame

SYNTHETIC = "synthetic_scenes"

# fixed, so that no option can move a frame from the test part into training
TEST_FRACTION, TEST_SEED = 0.2, 0


@dataclass(frozen=True, eq=False)
class Found:
    """The frames of a source.

    Attributes:
        classes: class names; a label is an index into them.
        frames: in the order of their names.
        parts: for each frame, the part that it belongs to if that is settled.
        notes: what a reader of results on this data should know.
    """

    classes: tuple[str, ...]
    frames: Sequence[Frame]
    parts: Sequence[str | None]
    notes: tuple[str, ...] = ()


def holds_points(source: str) -> bool:
    """Return whether a source is one of point clouds: synthetic scenes, `.npz` files, or SemanticKITTI's folders."""
    path = Path(source).expanduser()
    if source == SYNTHETIC:
        return True
    return is_kitti(path) or bool(_numpy_files(path)) if path.is_dir() else path.suffix == ".npz" and path.exists()


def find_frames(source: str, n_scenes: int) -> Found:
    """Return the frames of a source of which `holds_points` is true; of these, synthetic scenes have any number.

    Raises:
        InputError: a file is damaged or missing, or the frames have not all the same classes.
    """
    if source == SYNTHETIC:
        note = f"is synthetic: {n_scenes} generated road scenes under a simulated scanner, no recorded scans"
        scenes = [SyntheticFrame(number) for number in range(n_scenes)]
        return Found(synthetic_scenes.CLASSES, scenes, [None] * n_scenes, (note,))
    path = Path(source).expanduser()
    if path.is_dir() and is_kitti(path):
        frames, notes = find_kitti_frames(path)
        parts, more = _parts_by_sequence(frames)
        return Found(semantic_kitti.CLASSES, frames, parts, (*notes, *more))
    classes, found = find_numpy_frames([path] if path.is_file() else _numpy_files(path))
    return Found(classes, found, [None] * len(found))


def _numpy_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))


def _parts_by_sequence(frames: Sequence[KittiFrame]) -> tuple[list[str | None], tuple[str, ...]]:
    """Return the part of each frame: sequence 08 validates, as published, and the end of every other one tests.

    Neighbouring frames show nearly the same, so what tests is no random choice among them.
    """
    by_sequence: dict[str | None, list[int]] = defaultdict(list)
    for number, frame in enumerate(frames):
        by_sequence[frame.sequence].append(number)
    validation = by_sequence.pop(VALIDATION_SEQUENCE, [])
    parts: list[str | None] = [None] * len(frames)
    if not validation or not by_sequence:
        return parts, ()
    for numbers in by_sequence.values():
        n_test = round(len(numbers) * TEST_FRACTION)
        for position, number in enumerate(numbers):
            parts[number] = "test" if position >= len(numbers) - n_test else "train"
    for number in validation:
        parts[number] = "validation"
    if "test" not in parts:
        return [part if part == "validation" else None for part in parts], ()
    return parts, (
        f"is validated on sequence {VALIDATION_SEQUENCE}; "
        f"the last {TEST_FRACTION:.0%} of every other sequence are set apart as a test part",
    )
