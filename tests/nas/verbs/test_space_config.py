"""A space takes from the data what they dictate, the size of their clouds too."""

import json
from pathlib import Path

import numpy as np
import pytest

from nas.data import DataOptions
from nas.verbs.space_config import SpaceConfig, at_scene, load_for
from search_spaces import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine clouds of 100 to 900 points in a cube of 4 m."""
    rng = np.random.default_rng(0)
    for n in range(1, 10):
        points = rng.uniform(-2, 2, (100 * n, 4)).astype(np.float32)
        np.savez(tmp_path / f"{n}.npz", points=points, labels=np.resize([0, 1], 100 * n), classes=["x", "y"])
    return tmp_path


@pytest.mark.parametrize("name", ["spvnas_small", "pvcnn"])
def test_a_space_of_clouds_is_as_large_as_a_typical_one(folder: Path, name: str) -> None:
    space, data = load_for(SpaceConfig(name), DataOptions(str(folder)))
    assert (space.n_classes, space.in_channels, space.task) == (2, 4, "segmentation")  # type: ignore[attr-defined]
    smallest, typical, largest = (at_scene(space, data, quantile) for quantile in (0, 0.5, 1))
    assert space == typical
    sizes = sorted(len(data.train[i]) for i in range(len(data.train)))  # type: ignore[index]
    expected = [sizes[0], sizes[round(0.5 * (len(sizes) - 1))], sizes[-1]]
    assert [s.n_points for s in (smallest, typical, largest)] == expected  # type: ignore[attr-defined]


def test_what_the_data_dictate_may_be_said_and_not_otherwise(folder: Path) -> None:
    options = DataOptions(str(folder))
    space, _ = load_for(SpaceConfig("spvnas_small"), options)
    told = json.loads(json.dumps(space.to_json()))  # lists for tuples, as in YAML
    assert told.pop("name") == "spvnas_small"
    assert load_for(SpaceConfig("spvnas_small", told), options)[0] == space
    with pytest.raises(InputError, match=r"space option n_points 7: .* has \d+; leave it out"):
        load_for(SpaceConfig("pvcnn", {"n_points": 7}), options)


def test_clouds_with_one_label_are_not_segmented() -> None:
    with pytest.raises(InputError, match="space spvnas_small: task 'classification': input should be 'segmentation'"):
        load_for(SpaceConfig("spvnas_small"), DataOptions("synthetic_objects", n_scenes=10))
