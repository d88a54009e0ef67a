"""The command line as a user types it."""

import json
import logging
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import search_spaces
from nas.commands import Lines
from nas.remote.working_copy import local
from tests.nas.conftest import COMMAND, Nas

TINY = ["--data", "digits", "--data.channels", "1", "--space", "nasbench201"]
for option in ("cells=1", "channels=4", "resolution=8"):
    TINY += ["--space.options", option]


@pytest.mark.slow
def test_spaces_as_json(nas: Nas) -> None:
    done = nas("spaces", "--format", "json")
    assert done.returncode == 0
    assert "ofa_mobilenet_v3" in [space["name"] for space in json.loads(done.stdout)["spaces"]]


def test_the_options_and_choices_of_a_space_are_listed(nas: Nas) -> None:
    done = nas("spaces", "--space", "ofa_mobilenet_v3", "--format", "json")
    told = json.loads(done.stdout)
    (width,) = [option for option in told["options"] if option["option"] == "width"]
    names = ", ".join(line["choices"] for line in told["choices"]).split(", ")
    assert sorted(names) == sorted(choice.name for choice in search_spaces.load("ofa_mobilenet_v3").choices)
    assert told["choices"][0] == {"choices": "resolution", "of": "128, 132, 136, 140, 144, 148, 152, 156, ..., 224"}
    assert (width["default"], width["meaning"]) == ("1.0", "width multiplier of every stage (above 0, at most 4)")


def test_lines_of_the_log_name_urls() -> None:
    record = logging.makeLogRecord({"msg": "%s is busy", "args": (local("s3://bucket/x"),)})
    assert Lines("nas: %(message)s").format(record) == "nas: s3://bucket/x is busy"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], "No such command 'trian'"),
        (["train", "--data", "digits", "--output", "x", "--train.epoch", "3"], "--train.epochs"),
        (["train", "--data", "digits", "--output", "x", "--train.epochs", "-1"], "train.epochs '-1'"),
        (["train", "--output", "x"], "option: --data is missing"),
        (["train", "--data", "digits", "--output", "x", "--space", "ofa_mobilenet"], "did you mean ofa_mobilenet_v3"),
        (["train", "--data", "dgits", "--output", "x"], "dgits"),
        (["train", "--data", "digits", "--output", "x", "--space.options", "widht=2"], "did you mean width"),
        (["train", "--data", "digits", "--output", "x", "--space.options", "width"], "expected NAME=VALUE"),
        (["train", "--data", "digits", "--output", "x", "--space.options", "n_classes=7"], "n_classes 7"),
        (["search", "--supernet", "absent", "--table", "absent", "--budget", "1ms", "--output", "x"], "absent"),
        (["show", "--run", "absent"], "absent"),
        (["run", "--config", "absent.yaml"], "config absent.yaml does not exist"),
    ],
)
def test_bad_input_is_told_and_writes_nothing(nas: Nas, tmp_path: Path, arguments: list[str], told: str) -> None:
    done = nas(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--search.strategy", "ofa_evolutoin"], "did you mean ofa_evolution"),
        (["--device.threads", "1000"], "device threads 1000"),
        (["--device.runtime", "onnxruntim"], "unknown runtime 'onnxruntim': did you mean onnxruntime?"),
        (["--on", "pi@board"], "host 'pi@board': expected ssh://user@host[:port]"),
        (["--device.runtime", "torch_eager", "--on", "ssh://board"], "torch_eager is measured on this machine only"),
        (["--budget", "0ms"], "budget '0ms'"),
        (["--budget", "5"], "budget '5'"),
        (["--train.device", "cpu:foo"], "unknown training device 'cpu:foo'"),
        (["--space.options", "resolutions=[24,32"], "expected a number, a word or a list"),
        (["--space.options", "resolutions=[2000]"], "image_size 2000"),
        (["--output", "/proc/foo/x"], "/proc/foo"),
        (["--search.strategy", "NSGA"], "did you mean nsga2"),
        (["--search.metric", "mean_iou"], "unknown metric of digits 'mean_iou'"),
        (
            ["--search.n-evaluated", "0"],
            "option: --search.n-evaluated '0': input should be greater than or equal to 10",
        ),
        (["--search.strategy", "predictor_guided"], "nas: strategy predictor_guided would not end on 50000"),
        (
            ["--search.costs", "latency_ms,macs", "--search.strategy", "ofa_evolution"],
            "nas: strategy ofa_evolution serves one objective",
        ),
        (["--search.costs", "energy_mj"], "nas: search.costs energy_mj: nothing measured here tells it"),
        (["--search.costs", "latency"], "unknown metric in search.costs 'latency': did you mean latency_ms?"),
        (["--bounds", "flops=40%"], "unknown metric in bounds 'flops': known: latency_ms, macs, n_parameters, peak_"),
        (["--bounds", "latency_ms=5ms"], "bounds latency_ms: that is what the budget bounds; leave it out"),
        (
            ["--bounds", "macs=5000000"],
            "budget '5000000' of macs: expected a positive number with its unit, such as 2.5",
        ),
        (["--devices", "2nd=x"], "nas: device '2nd': expected a name of letters"),
        (["--devices", "phone=x"], "x does not exist"),
        (["--hosts", "phone=ssh://pi@board"], "unknown device in hosts 'phone'"),
        (["--bounds", "macs=5macs"], "no network has macs <= 5: the lowest, "),
        (["--bounds", "energy_mj=40%"], "nas: bounds energy_mj: nothing measured here tells it"),
        (["--train.augmentation.rotation", "90"], "augmentation rotation 90.0 does nothing to images"),
        (["--export.training.augmentation.rotation", "90"], "augmentation rotation 90.0 does nothing to images"),
        (["--address", "head"], "nas: address 'head': expected auto, HOST:PORT or ray://HOST:PORT"),
        (["--address", "127.0.0.1:1"], "nas: no Ray at 127.0.0.1:1: "),
        (["--workers", "2", "--cluster.device", "pi"], "nas: cluster device 'pi': `nas run` profiles, measures and"),
        (["--search.ahead", "1", "--search.strategy", "local_search"], "strategy local_search must be told before"),
        (["--table", "x", "--device.threads", "2"], "does nothing without a profile, whose place --table takes"),
    ],
)
def test_a_run_refuses_before_anything_runs(nas: Nas, tmp_path: Path, arguments: list[str], told: str) -> None:
    small = ["--data", "digits", "--budget", "40%", "--output", "x", "--space.options", "resolutions=[8]"]
    done = nas("run", *small, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_diverged_training_does_not_hold_its_directory(nas: Nas, tmp_path: Path) -> None:
    options = [*TINY, "--train.epochs", "1"]
    diverged = nas("train", *options, "--train.learning-rate", "1e6", "--output", tmp_path / "x")
    assert diverged.returncode == 2
    assert "lower the learning rate" in diverged.stderr
    assert nas("train", *options, "--train.learning-rate", "0.01", "--output", tmp_path / "x").returncode == 0


def test_two_processes_do_not_share_a_directory(nas: Nas, tmp_path: Path) -> None:
    options = [*TINY, "--output", "x"]
    command = [*COMMAND, "train", *options]
    first = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / "x" / "metrics.jsonl").exists():
        assert first.poll() is None
        time.sleep(0.05)
    second = nas("train", *options, cwd=tmp_path)
    first.kill()
    first.wait()
    assert second.returncode == 2
    assert "in use by another process" in second.stderr


def test_a_kit_that_was_not_made_has_no_results(nas: Nas, tmp_path: Path) -> None:
    done = nas("kit", "--output", tmp_path / "kit", "--import", tmp_path / "kit.results.jsonl")
    assert done.returncode == 2
    assert "kit is not the output directory of a nas run" in done.stderr
    done = nas("kit", "--output", tmp_path / "kit", "--on", "ssh://board")
    assert "a kit is carried by hand: leave out --on" in done.stderr
    assert not (tmp_path / "kit").exists()


def test_a_profile_for_data_takes_what_the_data_dictate(nas: Nas, tmp_path: Path) -> None:
    data = ["--data", "digits", "--data.channels", "1"]
    done = nas("profile", *data, "--space.options", "n_classes=7", "--output", tmp_path / "table")
    assert done.returncode == 2
    assert "space option n_classes 7: digits has 10; leave it out" in done.stderr
    assert not (tmp_path / "table").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--data", "digits", "--space", "pvcnn"], "space pvcnn reads clouds, but digits holds images"),
        (["--data", "synthetic_scenes"], "space mobilenet_v3_32 reads images, but synthetic_scenes holds clouds"),
        (["--data", "digits", "--data.tile-metres", "5"], "data option tile_metres 5.0 is of clouds, but digits"),
        (["--data", "digits", "--data.channels", "1", "--train.augmentation.scale", "0.2"], "augmentation scale 0.2"),
    ],
)
def test_what_does_not_fit_the_kind_of_data_is_refused(nas: Nas, options: list[str], told: str, tmp_path: Path) -> None:
    done = nas("train", *options, "--output", tmp_path / "train")
    assert done.returncode == 2
    assert told in done.stderr


def test_an_interrupted_training_exits_with_130_and_goes_on_to_the_same_weights(nas: Nas, tmp_path: Path) -> None:
    command = ["train", *TINY, "--train.epochs", "1", "--output"]
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert nas(*command, straight).returncode == 0
    often = ["--train.checkpoint-seconds", "0.001"]
    process = subprocess.Popen(
        [*COMMAND, *command, str(stopped), *often],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while not (stopped / "supernet.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert "run the same command again" in told
    assert nas(*command, stopped, *often).returncode == 0
    assert _weights(stopped) == _weights(straight)
    assert (stopped / "metrics.jsonl").read_text() == (straight / "metrics.jsonl").read_text()


def _weights(directory: Path) -> dict[str, list[float]]:
    from safetensors.torch import load_file

    return {name: tensor.flatten().tolist() for name, tensor in load_file(directory / "supernet.safetensors").items()}


@pytest.mark.skipif(not os.path.exists("/dev/full") or os.geteuid() != 0, reason="needs a small file system of its own")
def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", disk], check=False).returncode:
        pytest.skip("may not mount here")
    try:
        options = ["--data", "digits", "--data.channels", "1", "--space.options", "resolutions=[8]"]
        often = ["--train.checkpoint-seconds", "0.001"]
        command = [*COMMAND, "train", *options, *often, "--output", disk / "train"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        subprocess.run(["umount", disk], check=True)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
