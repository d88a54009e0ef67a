"""A bundle is measured again where its devices are, and what was measured is not lost with a device."""

from pathlib import Path
from typing import Any

import pytest

from latency_predictors.device import Device
from latency_predictors.fingerprint import fingerprint
from nas.finalists import AtHand, Latency
from nas.verbs import MeasureConfig, measure
from search_spaces import InputError


class Bundle:
    """Stands for one whose report names this machine twice, and whose network has given latencies, an error at last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *latencies: float, **machine: str) -> None:
        self.latencies, self.at_hand = [*latencies], []
        recorded = {"device": Device().to_json(), "fingerprint": {**fingerprint(Device()), **machine}}
        known = {"latency_ms": {**recorded, "budget_ms": 2.0}, "phone_latency_ms": {**recorded, "budget_ms": None}}
        for name, stand_in in {
            "read_report": lambda _: {"latencies": known},
            "read_network": lambda _: (),
            "exported_model": lambda device: device,
            "measure_networks": self._measure,
        }.items():
            monkeypatch.setitem(measure.__globals__, name, stand_in)  # the module has the name of its verb

    def _measure(self, at_hand: AtHand, *_: Any) -> list[Latency]:
        if not self.latencies:
            raise InputError("the device is gone")
        self.at_hand.append(at_hand)
        ms = self.latencies.pop(0)
        return [Latency(ms, ms, ms, 1)]


def test_what_was_measured_is_told_when_a_device_stops_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "the device is gone; latency_ms was 1.5 to 2.5 in 2 repeats, 1 within the budget; "
    Bundle(monkeypatch, 1.5, 8.0, 2.5)
    with pytest.raises(InputError, match=f"^{told}phone_latency_ms was 8 to 8 in 1 repeats$"):
        measure(MeasureConfig(Path("bundle")))
    Bundle(monkeypatch)
    with pytest.raises(InputError, match=r"^the device is gone$"):
        measure(MeasureConfig(Path("bundle")))


def test_another_machine_than_the_report_s_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Bundle(monkeypatch, 1.0, 8.0, 3.0, 8.0)
    found = measure(MeasureConfig(Path("bundle"), repeats=2))
    assert (found["within_budget"], found["phone_highest_ms"], caplog.text) == (1, 8.0, "")
    Bundle(monkeypatch, 1.0, 8.0, cpu="an abacus")
    measure(MeasureConfig(Path("bundle"), repeats=1))
    assert "phone_latency_ms is told of another machine than the report's (cpu 'an abacus' there" in caplog.text


def test_devices_are_measured_where_they_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle(monkeypatch, 1.0, 8.0)
    monkeypatch.setitem(measure.__globals__, "fingerprint", lambda device: fingerprint() | {"os": device.host})
    hosts = {"phone": "ssh://pi@phone"}
    measure(MeasureConfig(Path("bundle"), repeats=1, host="ssh://pi@board", hosts=hosts))
    assert [found.device.host for found in bundle.at_hand] == ["ssh://pi@board", "ssh://pi@phone"]
    assert [found.machine["os"] for found in bundle.at_hand] == ["ssh://pi@board", "ssh://pi@phone"]
    with pytest.raises(InputError, match="unknown device in hosts 'phnoe': did you mean phone"):
        measure(MeasureConfig(Path("bundle"), hosts={"phnoe": "ssh://pi@phone"}))
