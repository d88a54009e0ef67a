"""The machine's noise is measured before anything else, by one network in a process of its own."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from latency_predictors import repeats
from latency_predictors.device import Device, Measurement, MeasureOptions
from latency_predictors.fingerprint import OtherMachineError, fingerprint
from latency_predictors.kit import remote
from latency_predictors.kit.folder import Part
from latency_predictors.kit.kit import Kit, ProfileOptions, _noise_floor
from latency_predictors.kit.results import KitResults
from latency_predictors.model import Model
from latency_predictors.repeats import measure_repeats
from search_spaces import InputError, SearchSpace

QUICK = MeasureOptions(warmup_runs=1, runs_per_visit=2, min_rounds=2, min_seconds=0, max_seconds=1e-9)
OPTIONS = ProfileOptions(noise_repeats=3, measure=QUICK)


def test_one_network_is_loaded_and_measured_several_times(small: SearchSpace) -> None:
    found = measure_repeats(Kit(small, Device(), OPTIONS), fingerprint())
    assert [list(one) for one in found] == [["2"]] * 3
    assert len({one["2"].quantile_ms for one in found}) > 1


def test_a_host_is_asked_for_all_repeats_at_once_each_of_a_tenth_of_the_time_of_a_pass(
    small: SearchSpace, matmul: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Part] = []
    there = fingerprint()

    def measure_parts(device: Device, parts: Sequence[Part], *, resume: bool) -> KitResults:
        assert resume, "as a profile goes on"
        asked.extend(parts)
        return KitResults(there, [{"2": Measurement(ms, ms, ms, 0.1, 50, True, True)} for ms in (1.0, 2.0, 3.0)])

    monkeypatch.setattr(remote, "measure_parts", measure_parts)
    whole = MeasureOptions(min_seconds=5, max_seconds=120)
    kit = Kit(small, Device(host="ssh://pi@board"), dataclasses.replace(OPTIONS, measure=whole))
    models = {"2": matmul(2)}
    vars(kit)["_repeated_model"] = models  # which takes seconds to export
    assert [found["2"].quantile_ms for found in measure_repeats(kit, there)] == [1.0, 2.0, 3.0]
    assert asked == [(models, dataclasses.replace(whole, min_seconds=0.5, max_seconds=12))] * 3
    assert kit.measure_options(3) == whole, "of the first pass after them"
    with pytest.raises(OtherMachineError, match=r"ssh://pi@board is another machine than .*cores '1000'"):
        measure_repeats(kit, there | {"cores": "1000"})


def test_what_goes_wrong_there_is_told_in_one_line(small: SearchSpace) -> None:
    kit = Kit(small, Device(threads=100_000), OPTIONS)
    with pytest.raises(InputError, match=r"^device threads 100000 are more than the") as error:
        measure_repeats(kit, fingerprint())
    assert len(str(error.value).splitlines()) == 1


def test_it_ends_with_the_process_that_began_it(small: SearchSpace) -> None:
    endless = dataclasses.replace(OPTIONS, measure=MeasureOptions(min_seconds=1000, max_seconds=1000))
    command = [sys.executable, "-m", repeats.__name__, json.dumps(Kit(small, Device(), endless).describe())]
    began = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE).pid)"
    ended = subprocess.run([sys.executable, "-c", began, *command], capture_output=True, timeout=300)
    assert ended.stderr == b"", "which is read until both processes have ended"


def test_a_noisy_device_is_said_to_be_so(caplog: pytest.LogCaptureFixture) -> None:
    one = Measurement(1.0, 1.1, 0.9, 0.1, 50, True, True)
    quiet = [{"2": dataclasses.replace(one, quantile_ms=latency)} for latency in (0.99, 1.0, 1.01)]
    assert _noise_floor(quiet) == pytest.approx(0.01)
    assert not caplog.text
    assert _noise_floor([*quiet, {"2": dataclasses.replace(one, quantile_ms=2.0)}]) > 0.03
    assert "too noisy for its latencies to be trusted: one network measured 4 times varies by 40.0%" in caplog.text
    assert _noise_floor([]) is None
