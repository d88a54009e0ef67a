"""Tables for other sizes of examples need examples that differ in size."""

from pathlib import Path

import numpy as np
import pytest

import search_spaces
from latency_predictors.analytic.counts import count
from latency_predictors.cost_model import BlockCost
from latency_predictors.device import Device, Measurement
from latency_predictors.table.latency_table import LatencyTable, MeasuredNetwork
from nas.data import DataOptions
from nas.verbs import ProfileConfig, profile
from nas.verbs.profile import of_scene, profiled_scenes, scene_table, spaces_of_scenes, summary
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


def test_a_table_by_which_networks_take_no_time_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Networks that take less than their blocks by as much as the smallest takes, which no network measured is."""
    space = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8)
    alone_ms = [0.01 + count(block).macs * 1e-7 for block in space.index.blocks]
    model = BlockCost(space, "latency_ms", np.array(alone_ms))
    population = space.sample(60, np.random.default_rng(0))
    sums, less = model.predict(population), 1.1 * model.cheapest()[0]
    measured = [
        MeasuredNetwork(space.decode(row[None])[0], ms - less, ms - less)
        for row, ms in zip(population, sums.tolist(), strict=True)
        if ms > 1.2 * less
    ]
    blocks = {
        repr(block): Measurement(ms, ms, ms, spread=0.0, n_runs=10, stable=True, pinned=True)
        for block, ms in zip(space.index.blocks, alone_ms, strict=True)
    }
    table = LatencyTable(space, Device(), {}, blocks, measured[:10], measured[10:])
    assert summary(table, tmp_path, 1.0)["fastest_ms"] < 0
    assert of_scene(0.9, table)["fastest_ms"] < 0
    tables = (tmp_path / "table.json", "the table of scene 0.9")
    for record, name in zip(caplog.records, tables, strict=True):
        told = f"{name}: nothing foretells these latencies, as the fastest is predicted to take -0.00436 ms: measure"
        assert record.getMessage().startswith(told)
