"""A kit is made, measured as its device does, and imported once."""

import json
from pathlib import Path

import pytest

from latency_predictors.device import MeasureOptions
from latency_predictors.on_device.kit import KIT, measure_kit, results_path
from latency_predictors.profile import ProfileOptions
from nas import run_lock
from nas.verbs import KitConfig, kit
from nas.verbs.space_config import SpaceConfig
from search_spaces.errors import InputError

SPACE = SpaceConfig("toy", {"widths": (8, 16), "depths": (1, 2)})
QUICK = MeasureOptions(warmup_runs=1, runs_per_visit=2, min_rounds=2, min_seconds=0, max_seconds=1e-9)
PROFILE = ProfileOptions(n_calibration=6, n_held_out=5, noise_repeats=2, measure=QUICK)


@pytest.mark.usefixtures("toy")
def test_a_kit_becomes_a_table_whoever_left_it(tmp_path: Path) -> None:
    output = tmp_path / "kit"
    made = kit(KitConfig(output, space=SPACE, profile=PROFILE))
    assert made["then"] == f"nas kit --output {output} --import kit.results.jsonl"
    measure_kit(output / KIT, lambda _: None)
    results = results_path(output / KIT)
    (output / run_lock.FILE).unlink()
    (output / run_lock.FILE).write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "then"}))
    with pytest.raises(InputError, match="process 7 on elsewhere since then"):
        kit(KitConfig(output, (results,)))
    imported = kit(KitConfig(output, (results,), force=True))
    assert imported["table"] == str(output / "table.json")
    assert 0 < imported["fastest_ms"] < imported["slowest_ms"]
    with pytest.raises(InputError, match="are of the same kit as others that were named"):
        kit(KitConfig(output, (results, results)))
