"""SemanticKITTI (Behley et al., ICCV 2019): its 19 classes, and its folders of `.bin` and `.label` files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import IGNORED
from nas.data.points.clouds import N_CHANNELS, Cloud, checked
from search_spaces.errors import InputError

CLASSES = (
    "car",
    "bicycle",
    "motorcycle",
    "truck",
    "other-vehicle",
    "person",
    "bicyclist",
    "motorcyclist",
    "road",
    "parking",
    "sidewalk",
    "other-ground",
    "building",
    "fence",
    "vegetation",
    "trunk",
    "terrain",
    "pole",
    "traffic-sign",
)

_RAW_IDS: dict[str, tuple[int, ...]] = {
    "car": (10, 252),
    "bicycle": (11,),
    "motorcycle": (15,),
    "truck": (18, 258),
    # bus, on-rails, other-vehicle, and the moving ones of these
    "other-vehicle": (13, 16, 20, 256, 257, 259),
    "person": (30, 254),
    "bicyclist": (31, 253),
    "motorcyclist": (32, 255),
    # road and lane marking
    "road": (40, 60),
    "parking": (44,),
    "sidewalk": (48,),
    "other-ground": (49,),
    "building": (50,),
    "fence": (51,),
    "vegetation": (70,),
    "trunk": (71,),
    "terrain": (72,),
    "pole": (80,),
    "traffic-sign": (81,),
}
"""The published learning map: what is indistinguishable in a single scan is one class."""

# unlabeled, outlier, other-structure, other-object
_IGNORED_RAW_IDS = (0, 1, 52, 99)
# The lower half of a label is the raw id, the upper half numbers the instance.
_RAW_ID_BITS = 0xFFFF
_UNKNOWN = -2

VALIDATION_SEQUENCE = "08"

_BYTES_A_POINT = 4 * N_CHANNELS
_BYTES_A_LABEL = 4


def _learning_map() -> NDArray[np.int64]:
    table = np.full(_RAW_ID_BITS + 1, _UNKNOWN)
    table[list(_IGNORED_RAW_IDS)] = IGNORED
    for number, name in enumerate(CLASSES):
        table[list(_RAW_IDS[name])] = number
    return table


_LEARNING_MAP = _learning_map()


def class_numbers(raw: NDArray[np.integer], place: str) -> NDArray[np.int64]:
    """Return the class number of each raw label (N,), `IGNORED` where it is that, or of none of the 19 classes.

    Raises:
        InputError: an id that SemanticKITTI does not have.
    """
    raw = np.where(raw == IGNORED, 0, raw)  # none of uint32, as the labels of SemanticKITTI itself are
    if raw.min(initial=0) < 0:
        raise InputError(f"{place} has the label {raw.min()}: expected SemanticKITTI's raw ids, or {IGNORED} for none")
    ids = raw.astype(np.int64) & _RAW_ID_BITS
    numbers: NDArray[np.int64] = _LEARNING_MAP[ids]
    unknown = ids[numbers == _UNKNOWN]
    if len(unknown):
        raise InputError(
            f"{place} has the label {int(unknown[0])}, which SemanticKITTI does not have "
            f"({len(np.unique(unknown))} such ids, {len(unknown)} points): map it to one of its raw ids, 0 for none"
        )
    return numbers


@dataclass(frozen=True)
class KittiFrame:
    """One scan: a file of points and a file of labels; its sequence, if the folder has sequences."""

    points_file: Path
    labels_file: Path
    sequence: str | None

    @property
    def place(self) -> str:
        return str(self.points_file)

    def read(self) -> Cloud:
        points = np.frombuffer(_whole(self.points_file, _BYTES_A_POINT, "x, y, z and remission"), "<f4")
        raw = np.frombuffer(_whole(self.labels_file, _BYTES_A_LABEL, "one label"), "<u4")
        labels = class_numbers(raw, str(self.labels_file))
        return checked(points.reshape(-1, N_CHANNELS), labels, self._pair(len(raw) * N_CHANNELS == len(points)))

    def _pair(self, agrees: bool) -> str:
        return self.place if agrees else f"{self.points_file} (labels: {self.labels_file})"


def _whole(path: Path, n_bytes: int, record: str) -> bytes:
    """Return a file's content, if it is a whole number of records."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): expected a file of {n_bytes}-byte records"
        ) from None
    if len(content) % n_bytes:
        raise InputError(
            f"{path} is truncated: {len(content)} bytes are no multiple of {n_bytes}, for {record}; copy it again"
        )
    return content


def is_kitti(folder: Path) -> bool:
    """Return whether a folder is laid out as SemanticKITTI is."""
    return (folder / "sequences").is_dir() or (folder / "velodyne").is_dir()


def find_kitti_frames(folder: Path) -> tuple[list[KittiFrame], tuple[str, ...]]:
    """Return the frames below `sequences/*/`, or in `velodyne/` and `labels/` directly; and what to say about them.

    Raises:
        InputError: there are none, or a scan has no labels.
    """
    if not (folder / "sequences").is_dir():
        frames = _frames(folder, None)
        return frames, tuple(_left_out([folder], frames))
    sequences = sorted((folder / "sequences").iterdir())
    scanned, labelled = ([path for path in sequences if (path / kind).is_dir()] for kind in ("velodyne", "labels"))
    both = [path for path in scanned if path in labelled]
    if not both:
        raise InputError(f"{folder / 'sequences'} has no sequence with velodyne/ and labels/: expected some")
    frames = [frame for path in both for frame in _frames(path, path.name)]
    notes = [
        f"has sequences without {lacking}, which are left out: {', '.join(path.name for path in left)}"
        for lacking, found in (("labels", scanned), ("scans", labelled))
        if (left := [path for path in found if path not in both])
    ]
    return frames, (*notes, *_left_out(both, frames))


def _left_out(folders: Sequence[Path], frames: Sequence[KittiFrame]) -> Iterator[str]:
    """Yield a note if there are labels without a scan, as of one that was not copied."""
    used = {frame.labels_file for frame in frames}
    unused = [path for folder in folders for path in _files(folder / "labels", ".label") if path not in used]
    if unused:
        yield f"has files of labels without a scan, which are left out: {unused[0]} ({len(unused)} in all)"


def _frames(folder: Path, sequence: str | None) -> list[KittiFrame]:
    points = _files(folder / "velodyne", ".bin")
    labels = {path.stem: path for path in _files(folder / "labels", ".label")}
    missing = [path for path in points if path.stem not in labels]
    if missing:
        expected = folder / "labels" / f"{missing[0].stem}.label"
        raise InputError(f"{missing[0]} has no labels ({len(missing)} scans): expected {expected}")
    return [KittiFrame(path, labels[path.stem], sequence) for path in points]


def _files(folder: Path, suffix: str) -> Sequence[Path]:
    found = sorted(folder.glob(f"*{suffix}")) if folder.is_dir() else []
    if not found:
        raise InputError(
            f"{folder} holds no {suffix} files: expected SemanticKITTI's velodyne/*.bin and labels/*.label"
        )
    return found
