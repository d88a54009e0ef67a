"""Synthetic road scenes: planes, boxes, cylinders and ellipsoids with labels, scanned by a simulated rotating LiDAR.

The road runs along x; the scanner stands above the origin. It is no substitute for recorded scans: shapes are perfect,
and nothing is wet, glossy, bent or half transparent.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.data.points.clouds import Cloud, turned

CLASSES = ("road", "sidewalk", "terrain", "building", "car", "pole", "vegetation", "person")

# of each class, the mean of what comes back of the light
_REMISSION = np.array([0.25, 0.35, 0.3, 0.4, 0.15, 0.5, 0.3, 0.2])
_REMISSION_STD = 0.05

# of a Velodyne HDL-64E: its height on the car of KITTI, beams, field of view, reach and error
_HEIGHT = 1.73
_N_BEAMS = 64
_ELEVATION_DEGREES = (-24.8, 2.0)
_REACH = 80.0
_RANGE_STD = 0.02
# of about 2,000: a quarter keeps a scene at some 20,000 points
_N_COLUMNS = 512

_HALF_LENGTH = 60.0
_CURB = 0.15

Vector = NDArray[np.floating]


@dataclass(frozen=True)
class Shape(ABC):
    """A closed surface of one class, in metres."""

    label: int
    centre: tuple[float, float, float]

    @property
    @abstractmethod
    def radius(self) -> float:
        """Of a vertical cylinder about the centre that holds the shape."""

    @abstractmethod
    def hit(self, directions: Vector, origin: Vector) -> Vector:
        """Return (rays,): the distance to the first point where each ray enters the shape, infinite where it does not.

        Args:
            directions: unit vectors (rays, 3).
            origin: where all rays begin, (3,), outside of the shape.
        """


@dataclass(frozen=True)
class Box(Shape):
    """A box along the axes."""

    half_sizes: tuple[float, float, float]

    @property
    def radius(self) -> float:
        return float(np.hypot(*self.half_sizes[:2]))

    def hit(self, directions: Vector, origin: Vector) -> Vector:
        inverse = 1 / directions  # no ray runs exactly along a plane
        middle = (np.array(self.centre) - origin) * inverse
        reach = np.array(self.half_sizes) * np.abs(inverse)
        near, far = (middle - reach).max(axis=1), (middle + reach).min(axis=1)
        return np.where((near <= far) & (near > 0), near, np.inf)


@dataclass(frozen=True)
class Ellipsoid(Shape):
    """An ellipsoid along the axes."""

    half_sizes: tuple[float, float, float]

    @property
    def radius(self) -> float:
        return max(self.half_sizes[:2])

    def hit(self, directions: Vector, origin: Vector) -> Vector:
        size = np.array(self.half_sizes)
        return _first_root(directions / size, (origin - np.array(self.centre)) / size)


@dataclass(frozen=True)
class Cylinder(Shape):
    """The side of an upright cylinder."""

    width: float
    half_height: float

    @property
    def radius(self) -> float:
        return self.width / 2

    def hit(self, directions: Vector, origin: Vector) -> Vector:
        start = (origin - np.array(self.centre)) / self.radius
        distances = _first_root(directions[:, :2] / self.radius, start[:2])
        with np.errstate(invalid="ignore"):
            height = origin[2] + distances * directions[:, 2] - self.centre[2]
        return np.where(np.abs(height) <= self.half_height, distances, np.inf)


def _first_root(directions: Vector, start: Vector) -> Vector:
    """Return for each direction (rays, d) the smaller t with |start + t direction| = 1, infinite if there is none."""
    a, b = np.square(directions).sum(axis=1), directions @ start
    discriminant = b * b - a * (start @ start - 1)
    root = (-b - np.sqrt(np.maximum(discriminant, 0))) / a
    return np.where((discriminant > 0) & (root > 0), root, np.inf)


@dataclass(frozen=True)
class SyntheticFrame:
    """The scan of a synthetic scene, the same for the same number."""

    number: int

    @property
    def place(self) -> str:
        return f"synthetic scene {self.number}"

    def read(self) -> Cloud:
        rng = np.random.default_rng([_SEED, self.number])
        cloud = scan(make_scene(rng), rng)
        cloud.points[:, 2] -= _HEIGHT  # the scanner is the origin, and looks anywhere
        return Cloud(turned(cloud.points, rng.uniform(0, 2 * np.pi)), cloud.labels)


# keeps the scenes apart from whatever else is drawn with the same numbers
_SEED = 20200823


def make_scene(rng: np.random.Generator) -> list[Shape]:
    """Return the shapes of a random road scene, among them the ground."""
    road = rng.uniform(4.0, 8.0)
    walk = road + rng.uniform(2.0, 4.0)
    return [*_ground(road, walk), *_traffic(road, rng), *_roadside(road, walk, rng)]


def scan(shapes: list[Shape], rng: np.random.Generator, *, range_std: float = _RANGE_STD) -> Cloud:
    """Return what a scanner above the origin sees: first hits, with noise along the ray.

    Args:
        shapes: of the scene.
        rng: of the noise.
        range_std: standard deviation of a measured distance in metres.
    """
    origin = np.array([0.0, 0.0, _HEIGHT])
    directions = _directions()
    distances = np.full(directions.shape[:2], _REACH)
    labels = np.full(directions.shape[:2], -1)
    for shape in shapes:
        columns = _columns(shape)
        found = shape.hit(directions[:, columns].reshape(-1, 3), origin).reshape(_N_BEAMS, -1)
        nearer = found < distances[:, columns]
        distances[:, columns] = np.where(nearer, found, distances[:, columns])
        labels[:, columns] = np.where(nearer, shape.label, labels[:, columns])
    hit = labels >= 0
    measured = distances[hit] + rng.normal(0, range_std, int(hit.sum()))
    xyz = origin + directions[hit] * measured[:, None]
    remission = rng.normal(_REMISSION[labels[hit]], _REMISSION_STD).clip(0, 1)
    return Cloud(np.column_stack([xyz, remission]).astype(np.float32), labels[hit].astype(np.int64))


def _directions() -> Vector:
    """Return the unit vectors of all rays, (beams, columns, 3)."""
    elevation = np.radians(np.linspace(*_ELEVATION_DEGREES, _N_BEAMS))[:, None]
    azimuth = _azimuths()[None]
    parts = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation) + 0 * azimuth]
    return np.stack(parts, axis=2).astype(np.float32)


def _azimuths() -> Vector:
    # half a step off the axes, so that no ray runs exactly along a plane
    azimuths: Vector = (np.arange(_N_COLUMNS) + 0.5) * (2 * np.pi / _N_COLUMNS)
    return azimuths


def _columns(shape: Shape) -> NDArray[np.int64]:
    """Return the columns whose rays can meet a shape."""
    distance = float(np.hypot(*shape.centre[:2]))
    if distance <= shape.radius:
        return np.arange(_N_COLUMNS)
    reach = np.arcsin(shape.radius / distance)
    off = (_azimuths() - np.arctan2(shape.centre[1], shape.centre[0]) + np.pi) % (2 * np.pi) - np.pi
    return np.flatnonzero(np.abs(off) <= reach)


def _ground(road: float, walk: float) -> Iterator[Shape]:
    """Yield the road, and on both sides a sidewalk and terrain a curb higher; each is a thick slab."""
    edge = _HALF_LENGTH / 2
    yield Box(CLASSES.index("road"), (0, 0, -1), (_HALF_LENGTH, road, 1))
    for side in (-1, 1):
        for name, inner, outer in (("sidewalk", road, walk), ("terrain", walk, edge)):
            centre = (0, side * (inner + outer) / 2, _CURB - 1)
            yield Box(CLASSES.index(name), centre, (_HALF_LENGTH, (outer - inner) / 2, 1))


def _traffic(road: float, rng: np.random.Generator) -> Iterator[Shape]:
    """Yield cars, a body and a cabin each, in two lanes; none where the scanner is."""
    label = CLASSES.index("car")
    for lane in (-1, 1):
        for x in _spread(6.0, 14.0, rng):
            if abs(x) < 5:
                continue
            y = lane * rng.uniform(0.5, 0.8) * road
            length, width = rng.uniform(1.9, 2.4), rng.uniform(0.8, 0.95)
            yield Box(label, (x, y, 0.65), (length, width, 0.4))
            yield Box(label, (x, y, 1.25), (0.55 * length, 0.85 * width, 0.3))


def _roadside(road: float, walk: float, rng: np.random.Generator) -> Iterator[Shape]:
    """Yield poles and persons on the sidewalks, trees on the terrain before buildings, on both sides."""
    for side in (-1, 1):
        for x in _spread(10.0, 25.0, rng):
            yield Cylinder(CLASSES.index("pole"), (x, side * (road + 0.5), 3 + _CURB), rng.uniform(0.2, 0.35), 3)
        for x in _spread(4.0, 20.0, rng):
            y, half_height = side * rng.uniform(road + 1, walk), rng.uniform(0.75, 0.95)
            yield Cylinder(CLASSES.index("person"), (x, y, half_height + _CURB), 0.5, half_height)
        for x in _spread(6.0, 14.0, rng):
            yield from _tree(x, side * rng.uniform(walk + 1, walk + 3), rng)
        for x in _spread(16.0, 26.0, rng):
            sizes = (rng.uniform(5, 8), rng.uniform(3, 5), rng.uniform(2, 6))
            yield Box(CLASSES.index("building"), (x, side * (walk + 5 + sizes[1]), sizes[2] + _CURB), sizes)


def _tree(x: float, y: float, rng: np.random.Generator) -> Iterator[Shape]:
    label = CLASSES.index("vegetation")
    crown = (rng.uniform(0.8, 1.8), rng.uniform(0.8, 1.8), rng.uniform(0.8, 1.6))
    yield Cylinder(label, (x, y, 1 + _CURB), rng.uniform(0.2, 0.5), 1)
    yield Ellipsoid(label, (x, y, 2 + _CURB + 0.9 * crown[2]), crown)


def _spread(least: float, most: float, rng: np.random.Generator) -> Iterator[float]:
    """Yield places along the road, each so far from the one before."""
    x = -_HALF_LENGTH + rng.uniform(0, most)
    while x < _HALF_LENGTH:
        yield float(x)
        x += rng.uniform(least, most)
