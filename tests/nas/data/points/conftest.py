"""Point clouds made on the spot: as arrays, in SemanticKITTI's folders, in NumPy files."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Points = NDArray[np.float32]


def make_points(n: int, seed: int = 0) -> Points:
    """Return n random points in a square of 40 m about the origin."""
    rng = np.random.default_rng(seed)
    return rng.uniform((-20, -20, -2, 0), (20, 20, 3, 1), (n, 4)).astype(np.float32)


@pytest.fixture
def random_points() -> Callable[..., Points]:
    """Makes a number of points."""
    return make_points


@pytest.fixture
def write_scan(tmp_path: Path) -> Callable[..., Path]:
    """Writes a frame into a folder with velodyne/ and labels/, and returns its file of points."""

    def write(folder: str, name: str, points: Points | None = None, raw: NDArray[np.uint32] | None = None) -> Path:
        points = make_points(60, int(name)) if points is None else points
        raw = np.resize([40, 48, 10, 0], len(points)) if raw is None else raw
        for kind in ("velodyne", "labels"):
            (tmp_path / folder / kind).mkdir(parents=True, exist_ok=True)
        path = tmp_path / folder / "velodyne" / f"{name}.bin"
        points.astype("<f4").tofile(path)
        np.asarray(raw).astype("<u4").tofile(tmp_path / folder / "labels" / f"{name}.label")
        return path

    return write


@pytest.fixture
def write_npz(tmp_path: Path) -> Callable[..., Path]:
    """Writes the given arrays, or a cloud of SemanticKITTI's labels with those put in or left out, into a file."""

    def write(name: str = "cloud.npz", seed: int = 0, **arrays: object) -> Path:
        whole: Mapping[str, object] = {
            "points": make_points(60, seed),
            "labels": np.resize([40, 48, 10, 0], 60),
            **arrays,
        }
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{key: array for key, array in whole.items() if array is not None})  # type: ignore[arg-type]
        return path

    return write
