"""Clouds in NumPy files: `points`, and `labels` or `label`, and `classes` where labels are not SemanticKITTI's."""

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
    "points (N, 4) of floats, labels (N,) of integers or one integer label of them all, and classes, the names that "
    "labels count, unless each point has SemanticKITTI's raw id"
)


@dataclass(frozen=True)
class NumpyFrame:
    """One `.npz` file.

    Its labels are raw SemanticKITTI ids, unless it holds `classes`, the names of the classes: then they are indices
    into those, -1 for none.

    Attributes:
        path: the file.
        classes: that labels count.
        whole: whether the file holds one `label`, not `labels`.
    """

    path: Path
    classes: tuple[str, ...]
    whole: bool

    @property
    def place(self) -> str:
        return str(self.path)

    def read(self) -> Cloud:
        declared = _declared(self.path)
        arrays = _load(self.path, ("points", "label" if self.whole else "labels"))
        if len(arrays) < 2 or not _is_cloud(*arrays.values(), whole=self.whole):
            found = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "neither"
            raise InputError(f"{self.path} has {found}: expected {_EXPECTED}")
        points, raw = arrays.values()
        labels = semantic_kitti.class_numbers(raw, self.place) if declared.classes is None else self._labels(raw)
        with np.errstate(over="ignore"):  # what is infinite then is told as such
            points = points.astype(np.float32)
        return checked(points, labels, self.place, whole=self.whole)

    def _labels(self, raw: NDArray[np.integer]) -> NDArray[np.int64]:
        raw = np.atleast_1d(raw)
        wrong = raw[(raw < IGNORED) | (raw >= len(self.classes))]
        if len(wrong):
            raise InputError(
                f"{self.path} has the label {int(wrong[0])}, but {len(self.classes)} classes: "
                f"expected 0 to {len(self.classes) - 1}, or -1 for none"
            )
        return raw.astype(np.int64)


def _is_cloud(points: NDArray[Any], labels: NDArray[Any], *, whole: bool) -> bool:
    return (
        points.ndim == 2
        and points.shape[1] == N_CHANNELS
        and np.issubdtype(points.dtype, np.floating)
        and labels.ndim == (0 if whole else 1)
        and np.issubdtype(labels.dtype, np.integer)
    )


@dataclass(frozen=True)
class _Declared:
    """What a file says of its labels.

    Attributes:
        classes: their names, None if labels are SemanticKITTI's.
        whole: whether there is one, of the whole cloud.
    """

    classes: tuple[str, ...] | None
    whole: bool

    def __str__(self) -> str:
        names = "the classes of SemanticKITTI" if self.classes is None else f"the classes {', '.join(self.classes)}"
        return f"{names} and {'one label' if self.whole else 'a label a point'}"


def _declared(path: Path) -> _Declared:
    arrays = _load(path, ("classes", "label", "labels"))
    names, whole = arrays.get("classes"), "label" in arrays
    if whole and "labels" in arrays:
        raise InputError(f"{path} has both label, of the whole cloud, and labels, of points: leave one out")
    if names is None:
        if whole:
            raise InputError(f"{path} has a label of the whole cloud, but no classes: expected {_EXPECTED}")
        return _Declared(None, whole)
    if names.ndim != 1 or len(set(names.tolist())) < max(2, len(names)) or names.dtype.kind != "U":
        raise InputError(f"{path} has classes {names.tolist()}: expected two or more different names")
    return _Declared(tuple(names.tolist()), whole)


def find_numpy_frames(paths: Sequence[Path]) -> list[NumpyFrame]:
    """Return the frames of some `.npz` files; one that is damaged says so when it is read.

    Raises:
        InputError: their classes differ, or some are labelled as a whole and some point by point.
    """
    declared = dict(_readable(paths))
    first, expected = next(iter(declared.items()), (None, _Declared(None, whole=False)))
    for path, found in declared.items():
        if found != expected:
            raise InputError(f"{path} has {found}, but {first} has {expected}: expected the same")
    return [NumpyFrame(path, expected.classes or semantic_kitti.CLASSES, expected.whole) for path in paths]


def _readable(paths: Sequence[Path]) -> Iterator[tuple[Path, _Declared]]:
    """Yield what each file says in which that can be read."""
    for path in paths:
        with suppress(InputError):  # reading the frame raises it again, and there the file may be left out
            yield path, _declared(path)


def _load(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return those of the named arrays that a file has."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in names if name in archive}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split()).partition(". ")[0]  # NumPy goes on: load it as a pickle
        raise InputError(f"{path} is not a whole NumPy archive ({reason}): expected {_EXPECTED}") from None
