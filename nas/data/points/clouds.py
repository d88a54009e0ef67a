"""A labelled point cloud, what is checked of it, and where clouds come from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import IGNORED
from search_spaces.errors import InputError

# x, y, z in metres and remission, as SemanticKITTI stores a point
N_CHANNELS = 4
# far beyond the reach of any scanner, and so near that in voxels of 2 cm a coordinate fits into 17 bits
LARGEST_COORDINATE = 1000.0


@dataclass(frozen=True, eq=False)
class Cloud:
    """One labelled cloud.

    Attributes:
        points: float32 (N, 4): x, y, z in metres, and remission.
        labels: int64 (N,): class numbers, or `IGNORED`; (1,) for a cloud labelled as a whole.
        whole: whether it is.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    whole: bool = False

    def __len__(self) -> int:
        return len(self.points)

    def take(self, rows: NDArray[np.int64]) -> "Cloud":
        """Return the cloud of the points at `rows`, int64 (M,)."""
        return Cloud(self.points[rows], self.labels if self.whole else self.labels[rows], self.whole)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which points (N,) have a label, their own or the cloud's."""
        return np.full(len(self), True) if self.whole else self.labels != IGNORED

    @property
    def n_bytes(self) -> int:
        """Size in memory."""
        return self.points.nbytes + self.labels.nbytes

    def digest(self) -> bytes:
        """Return a sha256 of points and labels: equal for equal clouds."""
        digest = hashlib.sha256(self.points.tobytes())
        digest.update(self.labels.tobytes())
        return digest.digest()

    def histogram(self, n_classes: int) -> NDArray[np.int64]:
        """Return (classes,): how many labels each class has."""
        counts: NDArray[np.int64] = np.bincount(self.labels[self.labels != IGNORED], minlength=n_classes)
        return counts


class Frame(Protocol):
    """A cloud that can be read again and again: a file, a part of one, or a seed."""

    @property
    def place(self) -> str:
        """Where it is found, in words a person can follow."""

    def read(self) -> Cloud:
        """Return the cloud.

        Raises:
            InputError: it cannot be used; the message names the place.
        """


@dataclass(frozen=True, eq=False)
class HeldFrame:
    """A cloud in memory."""

    place: str
    cloud: Cloud

    def read(self) -> Cloud:
        return self.cloud


@dataclass(frozen=True, eq=False)
class Clouds:
    """One part of a data set: clouds by position.

    Attributes:
        frames: to be read when asked for.
    """

    frames: Sequence[Frame]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, position: int) -> Cloud:
        return self.frames[position].read()


def turned(points: NDArray[np.floating], angle: float) -> NDArray[np.float32]:
    """Return points (N, 4) turned about the vertical axis, in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z, remission = points.T
    return np.column_stack([cos * x - sin * y, sin * x + cos * y, z, remission]).astype(np.float32)


def checked(points: NDArray[np.float32], labels: NDArray[np.int64], place: str, *, whole: bool = False) -> Cloud:
    """Return the cloud, if it can be trained and scored on.

    Args:
        points: (N, 4).
        labels: class numbers or `IGNORED`, (M,).
        place: where the points are from, for messages.
        whole: whether there is one label, of the whole cloud.

    Raises:
        InputError: the points are none, not finite or too far away, or their labels are missing or all ignored.
    """
    if not len(points):
        raise InputError(f"{place} has no points: leave it out")
    if len(labels) != len(points) and not whole:
        raise InputError(f"{place} has {len(points)} points but {len(labels)} labels: expected one label a point")
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise InputError(
            f"{place} has a point that is not finite, number {row}: {points[row].tolist()}; "
            f"remove all {int((~finite).sum())} such points with their labels"
        )
    farthest = int(np.abs(points[:, :3]).max(axis=1).argmax())
    if np.abs(points[farthest, :3]).max() > LARGEST_COORDINATE:
        raise InputError(
            f"{place} has a point at {points[farthest, :3].tolist()}, beyond {LARGEST_COORDINATE:.0f} m: "
            "expected metres from the sensor or from the middle of the scene"
        )
    if (labels == IGNORED).all() and whole:
        raise InputError(f"{place} has no label: leave it out")
    if (labels == IGNORED).all():
        raise InputError(f"{place} has no labelled point: all {len(points)} are of no class; leave it out")
    return Cloud(np.ascontiguousarray(points, np.float32), np.ascontiguousarray(labels, np.int64), whole)
