"""A fingerprint names the machine but not its owner, and tells another machine from this one."""

import getpass
import socket

import pytest

from latency_predictors.device import Device
from latency_predictors.fingerprint import fingerprint, require_same_machine
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
def test_other_hardware_or_runtime_is_another_machine(name: str) -> None:
    here = fingerprint()
    with pytest.raises(InputError, match=f"{name} 'another' there"):
        require_same_machine({**here, name: "another"}, Device())


@pytest.mark.parametrize("name", ["os", "python", "torch", "onnx"])
def test_what_leaves_latencies_alone_does_not_matter(name: str) -> None:
    require_same_machine({**fingerprint(), name: "another"}, Device())


def test_of_another_runtime_its_own_version_decides() -> None:
    device = Device(runtime="torch_eager")
    require_same_machine({**fingerprint(device), "onnxruntime": "another"}, device)
    with pytest.raises(InputError, match="torch 'another' there"):
        require_same_machine({**fingerprint(device), "torch": "another"}, device)
