"""Profiling measures everything once, whenever it is killed, and keeps the profiles of different things apart."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn

import latency_predictors.kit.kit as kit_module
import latency_predictors.profile as profile_module
from latency_predictors.device import Device, Measurement, MeasureOptions
from latency_predictors.fingerprint import fingerprint
from latency_predictors.profile import ProfileOptions, profile
from latency_predictors.table.latency_table import LatencyTable
from search_spaces import InputError, SearchSpace

QUICK = MeasureOptions(warmup_runs=1, runs_per_visit=2, min_rounds=2, min_seconds=0, max_seconds=1e-9)
OPTIONS = ProfileOptions(n_calibration=6, n_held_out=20, group_size=8, noise_repeats=0, measure=QUICK)


def test_a_real_profile_is_a_table_of_all_blocks(toy: Callable[..., Any], tmp_path: Path) -> None:
    space = toy()
    options = dataclasses.replace(OPTIONS, n_held_out=5)
    table = profile(space, Device(), tmp_path, options, progress=False)
    assert table.blocks.keys() == {repr(block) for block in space.index.blocks}
    assert all(0 < measurement.quantile_ms < 1000 for measurement in table.blocks.values())
    assert (len(table.calibration_networks), len(table.held_out_networks)) == (6, 5)
    assert {space.smallest(), space.largest()} <= {network.architecture for network in table.calibration_networks}
    measured = [network.architecture for network in (*table.calibration_networks, *table.held_out_networks)]
    assert len(np.unique(space.canonical(space.encode(measured)), axis=0)) == 11
    assert np.isfinite(table.cost_model().predict(space.rows())).all()
    table.require_at_hand()
    assert LatencyTable.load(tmp_path / "table.json") == table


class Machine:
    """Stands in for exporting and measuring: a model is its number of parameters, and each pass is slower by 10 %.

    Attributes:
        passes: the names of what was measured, pass by pass.
        stop_after: passes until the process is killed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passes: list[set[str]] = []
        self.stop_after = 1000
        self.n_exported = 0
        monkeypatch.setattr(kit_module, "UntrainedModels", self._untrained)
        monkeypatch.setattr(profile_module, "measure", self._measure)
        monkeypatch.setattr(profile_module, "measure_repeats", self._measure_repeats)

    def _untrained(self, space: SearchSpace, batch_size: int, *, progress: bool) -> SimpleNamespace:
        return SimpleNamespace(
            of_blocks=lambda blocks: {block: self._size(block.build()) for block in blocks},
            of_networks=lambda architectures: [self._size(space.build(architecture)) for architecture in architectures],
        )

    def _size(self, module: nn.Module) -> int:
        self.n_exported += 1
        return sum(parameter.numel() for parameter in module.parameters())

    def _measure_repeats(self, kit: kit_module.Kit, machine: Mapping[str, str]) -> list[dict[str, Measurement]]:
        return [self._measure(kit.device, {"2": number}) for number in range(kit.options.noise_repeats)]

    def _measure(self, device: Device, models: Mapping[str, Any], **_: Any) -> dict[str, Measurement]:
        if len(self.passes) == self.stop_after:
            raise KeyboardInterrupt
        self.passes.append(set(models))
        slower = 1.1 ** len(self.passes)
        latencies_ms = {name: slower * (1 + size / 1000) for name, size in models.items()}
        return {name: Measurement(ms, ms, ms, 0.1, 10, True, True) for name, ms in latencies_ms.items()}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def whole(toy: Callable[..., Any], machine: Machine, tmp_path: Path) -> Path:
    """Returns the directory of a profile that nothing interrupted."""
    profile(toy(), Device(), tmp_path / "whole", OPTIONS, progress=False)
    return tmp_path / "whole"


def same(one: Path, other: Path) -> bool:
    names = ("table.json", "measurements.jsonl")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_blocks_are_measured_once_and_networks_beside_them(whole: Path, machine: Machine, toy: Any) -> None:
    networks = {str(number) for number in range(26)}
    blocks = [found - networks for found in machine.passes]
    assert all(networks <= found for found in machine.passes)
    assert sorted(itertools.chain(*blocks)) == sorted(map(repr, toy().index.blocks))
    assert len(blocks) > 2
    assert not blocks[-1], "the last pass is for the networks alone, to tell how far two passes differ"


def test_a_drift_between_passes_is_scaled_away(whole: Path, toy: Callable[..., Any]) -> None:
    table = LatencyTable.load(whole / "table.json")
    for block in toy().index.blocks:
        size = sum(parameter.numel() for parameter in block.build().parameters())
        assert table.blocks[repr(block)].quantile_ms == pytest.approx(1.1 * (1 + size / 1000))


def test_a_killed_profile_goes_on_where_it_was(
    whole: Path, machine: Machine, toy: Callable[..., Any], tmp_path: Path
) -> None:
    expected = machine.passes
    for n_passes in range(len(expected)):
        machine.passes, machine.stop_after = [], n_passes
        with pytest.raises(KeyboardInterrupt):
            profile(toy(), Device(), tmp_path / str(n_passes), OPTIONS, progress=False)
        machine.stop_after = 1000
        profile(toy(), Device(), tmp_path / str(n_passes), OPTIONS, progress=False)
        assert machine.passes == expected, "each is measured once"
        assert same(tmp_path / str(n_passes), whole)


def test_a_profile_that_was_cut_within_the_repeats_goes_on_after_those_that_are_there(
    machine: Machine, toy: Callable[..., Any], tmp_path: Path
) -> None:
    options = dataclasses.replace(OPTIONS, noise_repeats=4)
    profile(toy(), Device(), tmp_path, options, progress=False)
    journal = tmp_path / "measurements.jsonl"
    begun, expected = journal.read_bytes().splitlines(keepends=True)[:3], len(machine.passes)
    journal.write_bytes(b"".join(begun))
    machine.passes = []
    table = profile(toy(), Device(), tmp_path, options, progress=False)
    again = journal.read_bytes().splitlines(keepends=True)
    assert again[:3] == begun, "two repeats are kept"
    repeats = [json.loads(line)["2"]["quantile_ms"] for line in again[1:5]]
    assert repeats == pytest.approx([1.1, 1.21 * 1.001, 1.331 * 1.002, 1.4641 * 1.003]), "each of them once, in order"
    assert len(again) == 1 + len(machine.passes) == 1 + expected
    assert table.noise_floor == pytest.approx(np.std(repeats, ddof=1) / np.mean(repeats))


def test_a_finished_profile_is_read_without_measuring(whole: Path, machine: Machine, toy: Callable[..., Any]) -> None:
    machine.passes, machine.n_exported = [], 0
    table = profile(toy(), Device(), whole, OPTIONS, progress=False)
    assert not machine.passes
    assert not machine.n_exported
    assert table == LatencyTable.load(whole / "table.json")


def test_a_journal_that_was_cut_anywhere_is_completed(
    whole: Path, machine: Machine, toy: Callable[..., Any], tmp_path: Path
) -> None:
    content = (whole / "measurements.jsonl").read_bytes()
    for number, length in enumerate(np.random.default_rng(0).integers(len(content), size=10)):
        cut = tmp_path / str(number)
        cut.mkdir()
        (cut / "measurements.jsonl").write_bytes(content[:length])
        machine.passes = [set()] * max(0, content[:length].count(b"\n") - 1)
        profile(toy(), Device(), cut, OPTIONS, progress=False)
        assert same(cut, whole)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (0, '{"space": {}}', "device None, expected its entries"),
        (1, '{"0": 5}', "pass 1, model 0: 5, expected the fields of a measurement"),
        (1, '{"0": {"colour": 1}}', "pass 1, model 0: "),
        (1, "{}", "pass 1: not of the models that the profile measures there"),
    ],
)
def test_a_journal_that_was_edited_into_another_shape_is_refused(
    whole: Path, machine: Machine, toy: Callable[..., Any], line: int, text: str, message: str
) -> None:
    journal = whole / "measurements.jsonl"
    lines = journal.read_text().splitlines()
    lines[line] = text
    journal.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=message) as error:
        profile(toy(), Device(), whole, OPTIONS, progress=False)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"space": {"widths": (8, 16, 32)}}, "space.widths"),
        ({"device": Device(batch_size=2)}, "device.batch_size"),
        ({"options": dataclasses.replace(OPTIONS, seed=1)}, "options.seed"),
        ({"options": dataclasses.replace(OPTIONS, measure=MeasureOptions())}, "options.measure.warmup_runs"),
    ],
)
def test_the_profile_of_something_else_is_refused(
    whole: Path, machine: Machine, toy: Callable[..., Any], change: Mapping[str, Any], what: str
) -> None:
    before = (whole / "measurements.jsonl").read_bytes()
    machine.passes = []
    space: SearchSpace = toy(**change.get("space", {}))
    with pytest.raises(InputError, match=rf"the profile in .* was made with {what} = ") as error:
        profile(space, change.get("device", Device()), whole, change.get("options", OPTIONS), progress=False)
    assert len(str(error.value).splitlines()) == 1
    assert not machine.passes
    assert (whole / "measurements.jsonl").read_bytes() == before


def test_a_device_that_comes_back_elsewhere_with_another_kernel_goes_on(
    machine: Machine, toy: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        profile(toy(), Device(), tmp_path, OPTIONS, progress=False)
    machine.stop_after = 1000
    monkeypatch.setattr(profile_module, "fingerprint", lambda device: fingerprint() | {"os": "Linux 99", "python": "4"})
    moved = Device(host="ssh://pi@elsewhere")
    table = profile(toy(), moved, tmp_path, OPTIONS, progress=False)
    assert len(machine.passes) == len({frozenset(found) for found in machine.passes}), "each is measured once"
    assert table.device == moved


def test_a_profile_of_which_other_networks_are_drawn_now_is_refused(
    whole: Path, toy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = np.random.default_rng
    with monkeypatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda seed: drawn(seed + 1))  # as another version of NumPy might
        with pytest.raises(InputError, match="is of other networks or blocks than are drawn now"):
            profile(toy(), Device(), whole, OPTIONS, progress=False)
    journal = whole / "measurements.jsonl"
    header, *rest = journal.read_text().splitlines(keepends=True)
    older = json.loads(header)
    assert older.pop("models")
    journal.write_text(json.dumps(older) + "\n" + "".join(rest))
    assert profile(toy(), Device(), whole, OPTIONS, progress=False).blocks


def test_the_profile_of_another_machine_is_refused(whole: Path, toy: Callable[..., Any]) -> None:
    journal = whole / "measurements.jsonl"
    header, *rest = journal.read_text().splitlines(keepends=True)
    document = json.loads(header)
    document["machine"]["cpu"] = "an abacus"
    journal.write_text(json.dumps(document) + "\n" + "".join(rest))
    with pytest.raises(InputError, match=r"machine\.cpu = 'an abacus'"):
        profile(toy(), Device(), whole, OPTIONS, progress=False)


def test_a_space_of_few_networks_calibrates_on_some_of_them(
    machine: Machine, toy: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = toy(widths=(8, 16), depths=(1, 2))
    table = profile(space, Device(), tmp_path, OPTIONS, progress=False)
    assert (len(table.calibration_networks), len(table.held_out_networks)) == (2, 4)
    assert {network.architecture for network in table.calibration_networks} == {space.smallest(), space.largest()}
    assert "has 6 different networks: 2 calibrate its table, 4 test it" in caplog.text
    options = dataclasses.replace(OPTIONS, n_calibration=100, n_held_out=5)
    table = profile(space, Device(), tmp_path / "other", options, progress=False)
    assert (len(table.calibration_networks), len(table.held_out_networks)) == (3, 3), "whatever is asked, some test it"


def test_a_space_of_too_few_networks_is_refused(machine: Machine, toy: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="toy has 1 different networks: a table is for a choice among many"):
        profile(toy(widths=(8,), depths=(1,)), Device(), tmp_path, OPTIONS, progress=False)


def test_a_share_of_few_blocks_is_told_to_do_nothing(toy: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    kit_module.Kit(toy(), Device(), OPTIONS)
    assert not caplog.text
    kit_module.Kit(toy(), Device(), dataclasses.replace(OPTIONS, share=0.5))
    assert "share 0.5 does nothing: all" in caplog.text


def test_blocks_that_are_left_out_are_interpolated_and_marked(
    machine: Machine, small: SearchSpace, tmp_path: Path
) -> None:
    options = dataclasses.replace(OPTIONS, share=0.5, group_size=300)
    table = profile(small, Device(), tmp_path, options, progress=False)
    measured = {name for found in machine.passes for name in found if not name.isdecimal()}
    blocks = [repr(block) for block in small.index.blocks]
    assert table.blocks.keys() == set(blocks)
    assert {name for name, found in table.blocks.items() if not found.interpolated} == measured
    assert len(measured) == round(0.5 * len(blocks))
    sizes = [sum(parameter.numel() for parameter in block.build().parameters()) for block in small.index.blocks]
    truth = {name: 1.1 * (1 + size / 1000) for name, size in zip(blocks, sizes, strict=True)}
    error = np.mean([abs(table.blocks[name].quantile_ms / truth[name] - 1) for name in {*blocks} - measured])
    assert error < 0.1
    assert table.interpolation_error == pytest.approx(error, abs=0.1)
    assert LatencyTable.load(tmp_path / "table.json") == table
