"""Candidates are measured in groups, best first, until one keeps the budget; a kill loses no group."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nas.finalists
from latency_predictors.device import Device
from latency_predictors.fingerprint import fingerprint
from nas.data import Dataset
from nas.evaluation.shared_weights import SharedWeights
from nas.finalists import AtHand, Finalist, FinalistOptions, Latency, devices_at_hand, measured_finalists
from nas.search import History
from nas.supernet import Supernet
from search_spaces import SearchSpace
from search_spaces.errors import InputError

BOUNDS = {"latency_ms": 1.0, "macs": 1e6, "phone_latency_ms": 2.0}


class Table:
    """Stands in for a latency table, of which finalists take the device and the predictions alone."""

    device = Device()
    fingerprint: dict[str, str] | None = None

    def cost_model(self, space: SearchSpace) -> "Table":
        return self

    def predict(self, population: np.ndarray) -> np.ndarray:
        return np.arange(len(population), dtype=float)


class Numbers(Table):
    """A device that cannot be measured on."""

    device = None  # type: ignore[assignment]
    margin = 0.5


class Foreign(Table):
    """A device of another machine that does not answer."""

    fingerprint = {"cpu": "abacus"}  # noqa: RUF012
    margin = 0.5


class Machine:
    """Measures candidates at given latencies, in turn; is killed after some groups."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, latencies: Sequence[float]) -> None:
        self.groups: list[int] = []
        self.latencies = list(latencies)
        self.stop_after = 1000
        monkeypatch.setattr(nas.finalists, "network_model", lambda *_: None)
        monkeypatch.setattr(nas.finalists, "measure_networks", self._measure)

    def _measure(self, at_hand: AtHand, models: Sequence[Any], options: FinalistOptions) -> list[Latency]:
        if len(self.groups) == self.stop_after:
            raise KeyboardInterrupt
        done = sum(self.groups)
        self.groups.append(len(models))
        return [Latency(ms, ms, ms, options.passes) for ms in self.latencies[done : done + len(models)]]


def test_without_a_device_candidates_stand_as_they_are_predicted(
    find: Callable[[], list[Finalist]], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "device", None)
        patch.setattr(Table, "margin", 0.5, raising=False)
        finalists = find()
    (told,) = caplog.messages
    assert told.startswith("no finalist is measured for the budget, the latency model names no device: they stand as")
    assert [finalist.latencies["latency_ms"].predicted_ms for finalist in finalists] == [0, 1, 2, 3, 4]
    assert [finalist.meets_budget for finalist in finalists] == [True, False, False, False, False]  # 1 ms may be 1.5
    assert all(finalist.latencies["latency_ms"].measured is None for finalist in finalists)
    assert [Finalist.from_json(finalist.to_json()) for finalist in finalists] == finalists


@pytest.fixture
def find(tiny: SearchSpace, data: Dataset, tmp_path: Path) -> Callable[[], list[Finalist]]:
    torch.manual_seed(0)
    weights = SharedWeights(Supernet(tiny), data)
    population = tiny.canonical(tiny.sample(5, np.random.default_rng(0)))
    metrics = {name: np.linspace(1, 0, 5) for name in ("accuracy", "cross_entropy")}
    options = FinalistOptions(at_a_time=2)

    def measured(**further: Table) -> list[Finalist]:
        models = {"latency_ms": Table(), **further}
        candidates, journal = History(population, metrics), tmp_path / "finalists.jsonl"
        devices = devices_at_hand(models)  # type: ignore[arg-type]
        return measured_finalists(weights, models, devices, candidates, BOUNDS, options, journal)  # type: ignore[arg-type]

    return measured


@pytest.mark.parametrize(
    ("latencies", "kept", "groups"),
    [
        ([0.9, 0.8, 0.1, 0.1, 0.1], [True, True], [2]),
        ([1.1, 1.0, 0.1, 0.1, 0.1], [False, True], [2]),
        ([1.1, 1.2, 0.9, 1.3, 0.1], [False, False, True, False], [2, 2]),
        ([1.1, 1.2, 1.3, 1.4, 1.5], [False] * 5, [2, 2, 1]),
    ],
)
def test_groups_are_measured_until_one_holds_a_network_that_keeps_the_budget(
    find: Callable[[], list[Finalist]],
    monkeypatch: pytest.MonkeyPatch,
    latencies: list[float],
    kept: list[bool],
    groups: list[int],
) -> None:
    machine = Machine(monkeypatch, latencies)
    finalists = find()
    assert [finalist.meets_budget for finalist in finalists] == kept
    assert [finalist.latencies["latency_ms"].latency_ms for finalist in finalists] == latencies[: len(kept)]
    assert [finalist.latencies["latency_ms"].predicted_ms for finalist in finalists] == list(range(len(kept)))
    assert machine.groups == groups


def test_a_finalist_keeps_the_budgets_of_all_devices_when_measured_there(
    find: Callable[..., list[Finalist]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each group is measured on one device after the other; one of numbers alone is taken at its prediction."""
    machine = Machine(monkeypatch, [0.9, 1.1, 2.1, 0.1, 0.9, 0.8, 1.9, 2.2])
    finalists = find(phone_latency_ms=Table(), board_latency_ms=Numbers())
    assert [finalist.meets_budget for finalist in finalists] == [False, False, True, False]
    measured = [finalist.latencies["phone_latency_ms"].measured for finalist in finalists]
    assert [latency and latency.latency_ms for latency in measured] == [2.1, 0.1, 1.9, 2.2]
    assert [finalist.latencies["board_latency_ms"].latency_ms for finalist in finalists] == [0, 1, 2, 3]
    assert machine.groups == [2, 2, 2, 2]
    assert [Finalist.from_json(finalist.to_json()) for finalist in finalists] == finalists


def test_a_further_device_that_is_not_at_hand_is_never_measured_here(
    find: Callable[..., list[Finalist]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(monkeypatch, [0.9, 1.1])
    finalists = find(phone_latency_ms=Foreign())
    assert machine.groups == [2], "on the first device"
    assert [finalist.latencies["phone_latency_ms"].measured for finalist in finalists] == [None, None]
    assert caplog.text.count("device phone stands as predicted, not measured: latency model measured on another") == 1
    models: dict[str, Any] = {"latency_ms": Foreign(), "phone_latency_ms": Foreign()}
    assert [*devices_at_hand(models, allow_foreign=True)] == ["latency_ms"]
    with pytest.raises(
        InputError, match=r"device phone: .* another machine .*; say another place in --hosts, or leave"
    ):
        devices_at_hand(models, ["phone_latency_ms"], allow_foreign=True)
    with pytest.raises(
        InputError, match=r"another machine .*; say where .*--on, or let .* --unmeasured, or take this machine"
    ):
        devices_at_hand(models)
    assert not devices_at_hand(models, unmeasured=True)


def test_no_other_machine_stands_for_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(model: Table) -> None:
        raise InputError("board does not answer")

    monkeypatch.setattr("latency_predictors.latency_model.LatencyModel.require_at_hand", lost)
    with pytest.raises(InputError, match=r"^board does not answer; say where .* stand as predicted with --unmeasured$"):
        devices_at_hand({"latency_ms": Table()}, allow_foreign=True)  # type: ignore[dict-item]


def test_networks_that_a_graphics_card_holds_are_measured_from_main_memory(
    find: Callable[[], list[Finalist]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Machine(monkeypatch, [0.9, 1.1])
    moved: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "cpu", lambda network: moved.append(network) or network)
    assert len(find()) == len(moved) == 2


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_a_kill_loses_no_group_that_was_measured(
    find: Callable[[], list[Finalist]], monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    machine = Machine(monkeypatch, [1.1, 1.2, 1.3, 1.4, 0.5])
    machine.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        find()
    machine.stop_after = 1000
    finalists = find()
    assert machine.groups == [2, 2, 1]
    assert [finalist.latencies["latency_ms"].latency_ms for finalist in finalists] == machine.latencies
    assert find() == finalists
    assert machine.groups == [2, 2, 1], "what is found is not measured again"


def test_a_journal_of_something_else_is_told(find: Callable[[], list[Finalist]], tmp_path: Path) -> None:
    journal = tmp_path / "finalists.jsonl"
    header = json.dumps({"machines": {"latency_ms": fingerprint(Device())}})
    journal.write_text(f'{header}\n{{"row": [1, 2]}}\n')
    with pytest.raises(InputError, match=r"finalists\.jsonl holds a line that is no finalist"):
        find()
    journal.write_text('{"architecture": {}, "latencies": {}}\n')
    with pytest.raises(InputError, match=r"does not begin with the machines .* earlier version's: move it away"):
        find()


def test_a_search_goes_on_with_the_devices_that_it_began_with(
    find: Callable[..., list[Finalist]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, [1.1, 1.2, 1.3, 1.4])
    machine.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        find(phone_latency_ms=Table())
    with pytest.raises(InputError, match=r"of latency_ms, phone_latency_ms, .* now are of latency_ms: bring those"):
        find(phone_latency_ms=Foreign())
    monkeypatch.setattr(Table, "device", None)
    with pytest.raises(InputError, match=r"devices at hand now are of none: bring those of before to hand, or search"):
        find(phone_latency_ms=Table())


def test_a_search_goes_on_with_the_machine_that_it_began_with(
    find: Callable[..., list[Finalist]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(monkeypatch, [1.1, 1.2, 0.9, 1.4])
    machine.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        find()
    machine.stop_after = 1000
    here = fingerprint(Device())
    with monkeypatch.context() as patch:
        patch.setattr("latency_predictors.latency_model.fingerprint", lambda device: here | {"cpu": "abacus"})
        with pytest.raises(InputError, match=r"of latency_ms on another machine \(cpu '.*' there, 'abacus' here\)"):
            find()
        patch.setattr("latency_predictors.latency_model.fingerprint", lambda device: here | {"os": "another"})
        assert len(find()) == 4
