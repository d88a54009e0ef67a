"""`nas train` as torchrun starts it, several times over."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
OPTIONS = [
    "--data",
    "digits",
    "--data.channels",
    "1",
    "--space.options",
    "width=0.25",
    "--train.device",
    "cpu",
    "--train.epochs",
    "1",
    "--train.batch-size",
    "256",
    "--train.sampling",
    "uniform",
]


def nas_train(launcher: list[str], output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *launcher, *(["-m", "nas"] if launcher else ["nas"]), "train", *OPTIONS, *options]
    return subprocess.run([*command, "--output", str(output)], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_processes_of_torchrun_share_a_training_and_its_directory(tmp_path: Path) -> None:
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    first = nas_train(TORCHRUN, shared)
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("validation_accuracy_largest") == 1
    assert nas_train([], alone).returncode == 0
    losses = [json.loads((output / "metrics.jsonl").read_text())["loss"] for output in (shared, alone)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert nas_train(TORCHRUN, shared).returncode == 0  # finished: nobody waits for anybody
    refused = nas_train(TORCHRUN, tmp_path / "more", "--train.ranks", "2")
    assert "train ranks 2: torchrun has started 2; leave ranks out" in refused.stderr
