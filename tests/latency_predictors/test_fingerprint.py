"""A fingerprint names the machine but not its owner, and tells another machine from this one."""

import getpass
import socket

import pytest

from latency_predictors.fingerprint import fingerprint, machine_id, require_same_machine
from search_spaces.errors import InputError


def test_fingerprint_is_complete_and_repeats() -> None:
    found = fingerprint()
    assert found == fingerprint()
    assert {"cpu", "cores", "architecture", "os", "onnxruntime", "torch", "onnx"} <= found.keys()
    assert all(isinstance(value, str) and value for value in found.values())


def test_fingerprint_names_no_host_and_no_user() -> None:
    words = " ".join(fingerprint().values()).split()
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words


@pytest.mark.parametrize("name", ["cpu", "cores", "architecture", "onnxruntime"])
def test_machine_id_follows_hardware_and_runtime(name: str) -> None:
    here = fingerprint()
    assert machine_id({**here, name: "another"}) != machine_id(here)
    with pytest.raises(InputError, match=f"{name} 'another' there"):
        require_same_machine({**here, name: "another"})


@pytest.mark.parametrize("name", ["os", "python", "torch", "onnx"])
def test_machine_id_ignores_what_leaves_latencies_alone(name: str) -> None:
    here = fingerprint()
    assert machine_id({**here, name: "another"}) == machine_id(here)
    require_same_machine({**here, name: "another"})


def test_machine_id_is_short_and_stable() -> None:
    recorded = {"cpu": "x", "cores": "2", "architecture": "x86_64", "onnxruntime": "1.0"}
    assert machine_id(recorded) == machine_id(dict(reversed(recorded.items())))
    assert len(machine_id(recorded)) == 12
