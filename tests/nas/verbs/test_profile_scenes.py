"""Tables for other sizes of examples need examples that differ in size."""

from pathlib import Path

import pytest

from nas.data import DataOptions
from nas.verbs import ProfileConfig, profile
from nas.verbs.profile import profiled_scenes, scene_table, spaces_of_scenes
from nas.verbs.space_config import SpaceConfig, load_for
from search_spaces import InputError


def test_scenes_without_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scenes \[0.1, 0.9\]: name the data .* with --data"):
        profile(ProfileConfig(tmp_path / "table", SpaceConfig("spvnas_small"), scenes=(0.1, 0.9)))
    assert list(tmp_path.iterdir()) == []


def test_scenes_of_images_of_one_size_are_refused(tmp_path: Path) -> None:
    space, data = SpaceConfig("nasbench201", {"resolution": 8}), DataOptions("digits", channels=1)
    with pytest.raises(InputError, match=r"scenes \[0.1\]: the images of digits all have one size; leave it out"):
        profile(ProfileConfig(tmp_path / "table", space, data=data, scenes=(0.1,)))
    assert list(tmp_path.iterdir()) == []


def test_two_tables_of_one_size_are_refused() -> None:
    data = DataOptions("synthetic_scenes", n_scenes=3, tile_metres=20)
    given = load_for(SpaceConfig("spvnas_small"), data)
    assert list(spaces_of_scenes(*given, (0.0, 1.0))) == [0.0, 1.0]
    with pytest.raises(InputError, match=r"scene 0.5 of synthetic_scenes would have the size of the table itself"):
        spaces_of_scenes(*given, (0.5,))
    with pytest.raises(InputError, match=r"scene 0.99 of synthetic_scenes would have the size of scene 1: leave it"):
        spaces_of_scenes(*given, (1.0, 0.99))


def test_tables_of_scenes_are_found_again(tmp_path: Path) -> None:
    for quantile in (0.9, 0.05):
        scene_table(tmp_path, quantile).mkdir()
        (scene_table(tmp_path, quantile) / "table.json").touch()
    scene_table(tmp_path, 0.5).mkdir()  # of a profile that was interrupted
    assert profiled_scenes(tmp_path) == [0.05, 0.9]
