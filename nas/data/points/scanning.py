"""One pass over all frames: which are usable, what classes they hold, and the clouds themselves if they fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.data.points.clouds import Cloud, Frame, HeldFrame
from nas.data.points.tiles import FEWEST_POINTS, Key, Tile, cut
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar


@dataclass(frozen=True, eq=False)
class Example:
    """A cloud that can be trained or scored on: a frame, or a tile of one.

    Attributes:
        frame: how to read it.
        held: the same, in memory if it was to be kept there.
        origin: the number of the frame that it is, or is a tile of.
        tile: which one.
        n_points: how many points it has, labelled or not.
        histogram: (classes,), how many points each class has.
        digest: of points and labels.
    """

    frame: Frame
    held: Frame
    origin: int
    tile: Key | None
    n_points: int
    histogram: NDArray[np.int64]
    digest: bytes


@dataclass(frozen=True, eq=False)
class Scan:
    """What was found in some frames.

    Attributes:
        examples: those that can be used.
        problems: for each frame that cannot, the reason.
        n_small_tiles: how many tiles have too few points, or none that is labelled.
        n_points_in_small_tiles: how many points they have together.
    """

    examples: Sequence[Example]
    problems: Sequence[InputError]
    n_small_tiles: int
    n_points_in_small_tiles: int


def scan(frames: Sequence[Frame], n_classes: int, tile_metres: float | None, memory: float, title: str) -> Scan:
    """Read every frame once, showing progress under `title`.

    Args:
        frames: what to read.
        n_classes: how many classes there are.
        tile_metres: side of the tiles that frames are cut into; None for whole frames.
        memory: clouds are kept in memory as long as they take no more bytes.
        title: what the frames are called.
    """
    examples: list[Example] = []
    problems: list[InputError] = []
    small: list[int] = []
    n_bytes = 0
    with progress_bar(len(frames), title, "frame", show=len(frames) > 1) as bar:
        for origin, frame in enumerate(frames):
            bar.update()
            try:
                cloud = frame.read()
            except InputError as problem:
                problems.append(problem)
                continue
            n_bytes += cloud.n_bytes
            for tile, piece, part in _pieces(frame, cloud, tile_metres):
                histogram = part.histogram(n_classes)
                if tile is not None and (len(part) < FEWEST_POINTS or not histogram.any()):
                    small.append(len(part))
                    continue
                held = HeldFrame(piece.place, part) if n_bytes <= memory else piece
                examples.append(Example(piece, held, origin, tile, len(part), histogram, part.digest()))
    return Scan(examples, problems, len(small), sum(small))


def _pieces(frame: Frame, cloud: Cloud, tile_metres: float | None) -> Iterator[tuple[Key | None, Frame, Cloud]]:
    if tile_metres is None:
        yield None, frame, cloud
        return
    for tile, rows in cut(cloud, tile_metres).items():
        yield tile, Tile(frame, tile, tile_metres), cloud.take(rows)
