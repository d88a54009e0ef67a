"""Square tiles of a cloud, seen from above."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.data.points.clouds import Cloud, Frame

# with fewer points there is nothing to recognise, and a training step on such a tile teaches little
FEWEST_POINTS = 100

Key = tuple[int, int]
"""Column and row of a tile in the grid over the whole plane whose lines meet in the origin."""


@dataclass(frozen=True)
class Tile:
    """The points of a frame in one tile, read anew each time."""

    frame: Frame
    key: Key
    metres: float

    @property
    def place(self) -> str:
        return f"{self.frame.place}, tile {self.key}"

    def read(self) -> Cloud:
        cloud = self.frame.read()
        return cloud.take(np.flatnonzero((_keys(cloud, self.metres) == self.key).all(axis=1)))


def cut(cloud: Cloud, metres: float) -> dict[Key, NDArray[np.int64]]:
    """Return the rows of the points in each tile, in the tiles' order; every point is in one tile."""
    keys, tile = np.unique(_keys(cloud, metres), axis=0, return_inverse=True)
    rows = np.argsort(tile, kind="stable")
    first = np.searchsorted(tile[rows], np.arange(1, len(keys)))
    return {(int(x), int(y)): part for (x, y), part in zip(keys, np.split(rows, first), strict=True)}


def _keys(cloud: Cloud, metres: float) -> NDArray[np.int64]:
    """Return the key of each point's tile, (N, 2)."""
    return np.floor(cloud.points[:, :2].astype(np.float64) / metres).astype(np.int64)
