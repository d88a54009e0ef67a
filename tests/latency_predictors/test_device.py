"""A device is data: what it cannot be is refused in one line, before anything is measured."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from latency_predictors import runtimes
from latency_predictors.device import Device, MeasureOptions
from search_spaces.errors import InputError


def test_device_json_round_trip() -> None:
    device = Device(threads=2, batch_size=8, runtime="torch_eager", host="ssh://pi@board:2222/opt/venv/bin/python3")
    assert Device.from_json(device.to_json()) == device
    with pytest.raises(InputError, match="threads 0"):
        Device.from_json({**device.to_json(), "threads": 0})
    with pytest.raises(InputError, match="colour 'red'"):
        Device.from_json({**device.to_json(), "colour": "red"})


def test_device_refuses_impossible_threads() -> None:
    with pytest.raises(ValidationError):
        Device(threads=0)
    with pytest.raises(InputError, match="more than the"):
        Device(threads=100_000).require_possible()


def test_cores_are_chosen_one_a_thread_among_those_that_there_are() -> None:
    device = Device(threads=2, cores=(0, 100_000))
    assert Device.from_json(device.to_json()) == device
    assert Device.from_json({"threads": 1}).cores is None, "tables made before say nothing"
    with pytest.raises(InputError, match="device cores 0, 0 are not 2 different ones"):
        Device.from_json({"threads": 2, "cores": [0, 0]})
    with pytest.raises(InputError, match="device cores 0 are not 2 different ones"):
        Device.from_json({"threads": 2, "cores": [0]})
    with pytest.raises(InputError, match="device cores 100000: core 100000 is not among those that this process may"):
        Device(cores=(100_000,)).require_possible()


@pytest.mark.parametrize("field", [{"runtime": "onnx"}, {"name": "gpu"}, {"host": "pi@board"}, {"precision": "int4"}])
def test_unknown_names_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        Device.from_json(field)
    assert str(*field.values()) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            {"runtime": "torch_eager", "precision": "int8"},
            "precision int8: runtime torch_eager is measured with float32",
        ),
        ({"name": "cuda"}, "name cuda: runtime onnxruntime is measured with cpu"),
        ({"runtime": "torch_eager", "host": "ssh://board"}, "torch_eager is measured on this machine only"),
    ],
)
def test_what_a_runtime_does_not_do_is_refused(field: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Device(**field).require_possible()


def test_a_runtime_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(InputError, match=r"openvino is not installed .* pip install '\.\[openvino\]' in a clone"):
        Device(runtime="openvino").require_possible()
    monkeypatch.setitem(__import__("sys").modules, "ncnn", None)
    for field, message in (
        ({"precision": "int8"}, "precision int8: runtime ncnn is measured with float32"),
        ({"batch_size": 4}, "batch_size 4: runtime ncnn takes at most 1"),
        ({"host": "ssh://board"}, "ncnn is measured on this machine only"),
    ):
        with pytest.raises(InputError, match=message):
            Device.from_json({"runtime": "ncnn", **field}).require_possible()
    assert "openvino" in runtimes.names()


def test_a_seed_below_zero_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        MeasureOptions(seed=-1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="device name cuda: torch finds no GPU here"):
        Device(name="cuda", runtime="torch_eager").require_possible()
