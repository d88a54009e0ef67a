"""Synthetic objects: the surfaces of simple solids, of random proportions, each labelled as a whole.

They serve tests and first runs of classification: real objects are neither as simple nor as evenly sampled.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.data.points.clouds import Cloud, turned

Points = NDArray[np.float64]

_POINTS = (400, 800)  # of an object, the fewest and the most
_HALF_SIZES = (0.3, 1.0)
_NOISE = 0.01
# keeps the objects apart from whatever else is drawn with the same numbers
_SEED = 20190708


@dataclass(frozen=True)
class SyntheticObject:
    """An object, the same for the same number; classes take turns."""

    number: int

    @property
    def place(self) -> str:
        return f"synthetic object {self.number}"

    def read(self) -> Cloud:
        rng = np.random.default_rng([_SEED, self.number])
        label = self.number % len(CLASSES)
        surface = _SURFACES[CLASSES[label]](int(rng.integers(*_POINTS)), rng)
        xyz = surface * rng.uniform(*_HALF_SIZES, 3) + rng.normal(0, _NOISE, surface.shape)
        points = np.column_stack([xyz, np.zeros(len(xyz))])
        return Cloud(turned(points, rng.uniform(0, 2 * np.pi)), np.array([label]), whole=True)


def _box(n: int, rng: np.random.Generator) -> Points:
    points = rng.uniform(-1, 1, (n, 3))
    points[np.arange(n), rng.integers(3, size=n)] = rng.choice([-1.0, 1.0], n)
    return points


def _ellipsoid(n: int, rng: np.random.Generator) -> Points:
    directions = rng.normal(size=(n, 3))
    points: Points = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return points


def _cylinder(n: int, rng: np.random.Generator) -> Points:
    """A mantle with two lids."""
    height = rng.uniform(-1, 1, n)
    on_lid = rng.random(n) < 1 / 3  # of the surface where width and height are equal
    radius = np.where(on_lid, np.sqrt(rng.random(n)), 1)
    return np.column_stack([*_circle(radius, rng), np.where(on_lid, np.sign(height), height)])


def _cone(n: int, rng: np.random.Generator) -> Points:
    """A mantle from the tip to the rim of the base, and the base."""
    radius = np.sqrt(rng.random(n))
    on_base = rng.random(n) < 0.3
    return np.column_stack([*_circle(radius, rng), np.where(on_base, -1, 1 - 2 * radius)])


def _torus(n: int, rng: np.random.Generator) -> Points:
    tube, across = rng.uniform(0.15, 0.4), rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([*_circle(1 - tube + tube * np.cos(across), rng), tube * np.sin(across)])


def _circle(radius: Points, rng: np.random.Generator) -> tuple[Points, Points]:
    """Return x and y of points all around the vertical axis, at these distances from it."""
    around = rng.uniform(0, 2 * np.pi, len(radius))
    return radius * np.cos(around), radius * np.sin(around)


_SURFACES: dict[str, Callable[[int, np.random.Generator], Points]] = {
    "box": _box,
    "ellipsoid": _ellipsoid,
    "cylinder": _cylinder,
    "cone": _cone,
    "torus": _torus,
}

CLASSES = tuple(_SURFACES)
