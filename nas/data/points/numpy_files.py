"""Clouds in NumPy files: `points` and `labels`, and `classes` where the labels are not SemanticKITTI's."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import IGNORED
from nas.data.points import semantic_kitti
from nas.data.points.clouds import N_CHANNELS, Cloud, checked
from search_spaces.errors import InputError

_EXPECTED = (
    "points (N, 4) of floats, labels (N,) of integers, and classes, the names that labels count, unless labels are "
    "SemanticKITTI's raw ids"
)


@dataclass(frozen=True)
class NumpyFrame:
    """One `.npz` file.

    Its labels are raw SemanticKITTI ids, unless it holds `classes`, the names of the classes: then they are indices
    into those, -1 for none.
    """

    path: Path
    classes: tuple[str, ...]

    @property
    def place(self) -> str:
        return str(self.path)

    def read(self) -> Cloud:
        arrays = _load(self.path, ("points", "labels"))
        points, raw = arrays.get("points"), arrays.get("labels")
        if points is None or raw is None or not _is_cloud(points, raw):
            found = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "neither"
            raise InputError(f"{self.path} has {found}: expected {_EXPECTED}")
        return checked(points.astype(np.float32), self._labels(raw), self.place)

    def _labels(self, raw: NDArray[np.integer]) -> NDArray[np.int64]:
        if file_classes(self.path) is None:
            return semantic_kitti.class_numbers(raw, self.place)
        wrong = raw[(raw < IGNORED) | (raw >= len(self.classes))]
        if len(wrong):
            raise InputError(
                f"{self.path} has the label {int(wrong[0])}, but {len(self.classes)} classes: "
                f"expected 0 to {len(self.classes) - 1}, or -1 for none"
            )
        return raw.astype(np.int64)


def _is_cloud(points: NDArray[Any], labels: NDArray[Any]) -> bool:
    return (
        points.ndim == 2
        and points.shape[1] == N_CHANNELS
        and np.issubdtype(points.dtype, np.floating)
        and labels.ndim == 1
        and np.issubdtype(labels.dtype, np.integer)
    )


def file_classes(path: Path) -> tuple[str, ...] | None:
    """Return the class names that a file holds, None if its labels are SemanticKITTI's."""
    names = _load(path, ("classes",)).get("classes")
    if names is None:
        return None
    if names.ndim != 1 or len(set(names.tolist())) < max(2, len(names)) or names.dtype.kind != "U":
        raise InputError(f"{path} has classes {names.tolist()}: expected two or more different names")
    return tuple(names.tolist())


def find_numpy_frames(paths: Sequence[Path]) -> tuple[tuple[str, ...], list[NumpyFrame]]:
    """Return the classes and the frames of some `.npz` files; one that is damaged says so when it is read.

    Raises:
        InputError: their classes differ.
    """
    declared = dict(_declared(paths))
    first, expected = next(iter(declared.items()), (None, None))
    for path, classes in declared.items():
        if classes != expected:
            raise InputError(
                f"{path} has the classes {_names(classes)}, but {first} has {_names(expected)}: expected the same"
            )
    known = expected or semantic_kitti.CLASSES
    return known, [NumpyFrame(path, known) for path in paths]


def _declared(paths: Sequence[Path]) -> Iterator[tuple[Path, tuple[str, ...] | None]]:
    """Yield the classes of each file in which they can be read."""
    for path in paths:
        with suppress(InputError):  # reading the frame raises it again, and there the file may be left out
            yield path, file_classes(path)


def _names(classes: tuple[str, ...] | None) -> str:
    return "of SemanticKITTI" if classes is None else ", ".join(classes)


def _load(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return those of the named arrays that a file has."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in names if name in archive}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split()).partition(". ")[0]  # NumPy goes on: load it as a pickle
        raise InputError(f"{path} is not a whole NumPy archive ({reason}): expected {_EXPECTED}") from None
