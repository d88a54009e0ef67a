"""The NumPy function makes what torch makes, to the last bit, and needs NumPy alone."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from search_spaces import InputError
from search_spaces.network_inputs import sparse as sparse_inputs
from search_spaces.network_inputs.sparse import inputs_from_points
from search_spaces.points import PointClouds
from search_spaces.sparse.geometry import geometry

FRAMES = st.integers(1, 80).flatmap(
    lambda n: arrays.arrays(np.float32, (n, 3), elements=st.floats(-40, 40, width=32), fill=st.nothing())
)


@given(
    coordinates=FRAMES,
    voxel_size=st.sampled_from([0.05, 0.3, 1.0, 7.0]),
    n_strides=st.integers(1, 5),
    rounded=st.booleans(),
)
def test_numpy_makes_what_torch_makes(
    coordinates: NDArray[np.float32], voxel_size: float, n_strides: int, rounded: bool
) -> None:
    """Rounded to whole metres, points meet the corners and centres of voxels."""
    coordinates = coordinates.round() if rounded else coordinates
    points = np.concatenate([coordinates, coordinates[:, :1] ** 2], 1)
    kept = {"voxel_size": voxel_size, "n_strides": n_strides, "point_strides": (1, 4, 16)}
    actual = inputs_from_points(coordinates, points, **kept)
    tensors = torch.from_numpy(coordinates), torch.from_numpy(points)
    expected = geometry(PointClouds(*tensors, torch.zeros(len(coordinates), dtype=torch.long), 1), **kept)
    assert actual.keys() == expected.keys() | {"points"}
    assert np.array_equal(actual["points"], points)
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.numpy().dtype, name
        assert np.array_equal(actual[name], tensor.numpy()), name


def test_it_imports_numpy_and_the_standard_library_alone() -> None:
    tree = ast.parse(Path(sparse_inputs.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"itertools", "collections.abc", "numpy", "numpy.typing"}


@pytest.mark.parametrize(
    ("point", "message"),
    [(np.nan, "point 1 has a coordinate or feature that is not finite"), (1e5, "point 1 lies at .* must lie within")],
)
def test_what_torch_refuses_is_refused(point: float, message: str) -> None:
    points = np.array([[0, 0, 0], [0, point, 0]], np.float32)
    with pytest.raises(ValueError, match=message) as told:
        inputs_from_points(points, points, voxel_size=0.1, n_strides=2, point_strides=(1,))
    assert not isinstance(told.value, InputError)
    for wrong in (np.zeros((2, 4), np.float32), points[:1], points[0]):
        with pytest.raises(ValueError, match=r"^coordinates \(.*\) and features .*: expected \(points, 3\) and"):
            inputs_from_points(wrong, points, voxel_size=0.1, n_strides=2, point_strides=(1,))
    with pytest.raises(ValueError, match="no points"):
        inputs_from_points(points[:0], points[:0], voxel_size=0.1, n_strides=2, point_strides=(1,))
