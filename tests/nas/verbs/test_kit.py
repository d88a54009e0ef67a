"""A kit is made, measured as its device does, and imported once."""

import json
from pathlib import Path

import pytest

from latency_predictors.device import Device, MeasureOptions
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
    with pytest.raises(
        InputError, match="--device does nothing on import, where the kit says what it is: leave it out"
    ):
        kit(KitConfig(output, (results,), device=Device(threads=2)))
    assert kit(KitConfig(output, (results,), space=SPACE, profile=PROFILE)) == imported, "the same may be said again"


@pytest.mark.usefixtures("toy")
def test_the_table_of_other_results_of_a_kit_is_not_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = tmp_path / "kit"
    kit(KitConfig(output, space=SPACE, profile=PROFILE))
    measure_kit(output / KIT, lambda _: None)
    phone, other = results_path(output / KIT), tmp_path / "other.jsonl"
    phone.write_text(phone.read_text().replace('"stable": false', '"stable": true'))
    other.write_text(phone.read_text().replace('"stable": true', '"stable": false'))
    assert kit(KitConfig(output, (phone,)))["stable_share"] == 1
    assert "busy" not in caplog.text
    table = output / "table.json"
    for content in (table.read_text(), "what someone made of it"):
        table.write_text(content)
        with pytest.raises(InputError, match=r"table\.json was made of other results: rename or move it"):
            kit(KitConfig(output, (other,)))
        assert table.read_text() == content
    table.rename(output / "phone.json")
    assert kit(KitConfig(output, (other,)))["table"] == str(table)
    assert "the machine was busy: only 0% of the latencies became stable" in caplog.text
