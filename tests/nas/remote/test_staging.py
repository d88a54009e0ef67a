"""Verbs whose directories are at URLs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latency_predictors.analytic.roofline import Roofline
from nas import run_lock
from nas.data import DataOptions
from nas.remote.staging import mirrored
from nas.run_directory import begin_run, finish_run
from nas.verbs import ShowConfig, TrainConfig, train
from search_spaces.errors import InputError
from tests.nas.conftest import Nas

pytestmark = pytest.mark.usefixtures("own_copies")

DATA = ["--data", "digits", "--data.channels", "1"]
SPACE = ["--space", "nasbench201"]
for option in ("cells=1", "channels=4", "resolution=8"):
    SPACE += ["--space.options", option]
SEARCH = ["--budget", "100%", "--search.evaluator", "shared_weights", "--search.strategy", "regularized_evolution"]
SEARCH += ["--format", "json"]

HASTY = "from nas.cli import main; from nas.remote import mirror; mirror.PERIOD_S = 0.05; main()"
"""The command line, which puts up what changes at once."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the URLs of this module lead; `device.json` is there."""
    store = tmp_path_factory.mktemp("store")
    Roofline().save(store / "device.json")
    return store


def test_verbs_find_each_other_at_urls_and_record_these(nas: Nas, store: Path, tmp_path: Path) -> None:
    url = f"file://{store}/x"
    assert nas("train", *DATA, *SPACE, "--train.epochs", "1", "--output", f"{url}/train").returncode == 0
    again = nas("train", *DATA, *SPACE, "--train.epochs", "1", "--output", f"{url}/train/", "--format", "json")
    assert json.loads(again.stdout)["supernet"] == f"{url}/train"
    (tmp_path / "job.yaml").write_text(f"supernet: {url}/train\ntable: file://{store}/device.json\n")
    config = ["--config", f"file://{tmp_path}/job.yaml", "--search.n-evaluated", "10"]
    config += ["--devices", f"phone=file://{store}/device.json", "--bounds", "phone_latency_ms=100%"]
    searched = nas("search", *config, *SEARCH, "--output", f"{url}/search")
    assert searched.returncode == 0, searched.stderr
    asked = json.loads((store / "x" / "search" / "run.json").read_text())["options"]
    assert asked["supernet"] == f"{url}/train"
    assert asked["devices"] == {"phone": f"file://{store}/device.json"}
    assert asked["output"] == json.loads(searched.stdout)["output"] == f"{url}/search"
    shown = nas("show", "--run", f"{url}/search", "--format", "json")
    assert json.loads(shown.stdout).items() >= json.loads(searched.stdout).items()
    refused = nas("search", *config, *SEARCH, "--search.seed", "1", "--output", f"{url}/search")
    assert refused.returncode == 2
    assert f"nas: {url}/search was made with options.search.seed = 0, asked for is 1" in refused.stderr
    written = [path for path in store.rglob("*") if path.is_file()]
    assert not [path for path in written if path.name.startswith(".")]
    assert not [path for path in written if re.search(rb"/nas-[0-9a-f]{32}", path.read_bytes())]


def test_a_search_that_was_killed_goes_on_from_the_url_to_the_same_journal(nas: Nas, store: Path) -> None:
    inputs = ["--supernet", f"file://{store}/x/train", "--table", f"file://{store}/device.json"]
    search = ["search", *inputs, *SEARCH, "--search.n-evaluated", "20", "--output"]
    there, url = store / "killed", f"file://{store}/killed"
    command, own = [sys.executable, "-c", HASTY, *search, url], os.environ | {"TMPDIR": str(store)}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=own) as driver:
        while n_lines(there / "evaluated.jsonl") < 4:
            assert driver.poll() is None
            time.sleep(0.02)
        driver.send_signal(signal.SIGKILL)
    n_kept = n_lines(there / "evaluated.jsonl")
    owner = json.loads((there / run_lock.FILE).read_text())
    (there / run_lock.FILE).write_text(json.dumps(owner | {"host": "a-machine-that-is-gone"}))
    refused = nas(*search, url)
    assert refused.returncode == 2
    told = f"nas: {url} is in use by another process (process {driver.pid} on a-machine-that-is-gone since"
    assert told in refused.stderr
    went_on = nas(*search, url, "--force")
    assert went_on.returncode == 0, went_on.stderr
    assert 4 <= n_kept < n_lines(there / "evaluated.jsonl")
    assert nas(*search, f"file://{store}/straight").returncode == 0
    assert (there / "evaluated.jsonl").read_bytes() == (store / "straight" / "evaluated.jsonl").read_bytes()
    assert sorted(path.name for path in there.iterdir()) == sorted(p.name for p in (store / "straight").iterdir())


def n_lines(path: Path) -> int:
    return len(path.read_bytes().splitlines()) if path.exists() else 0


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        (["show", "--run", "file:///absent/x"], "nas: file:///absent/x is not the output directory of a nas run"),
        (["show", "--run", "s4://bucket/x"], "nas: unknown protocol 's4': did you mean s3"),
        (["show", "--config", "file:///absent.yaml"], "nas: config file:///absent.yaml does not exist"),
        (["train", *DATA, *SPACE, "--output", "ftp://127.0.0.1:1/x"], "nas: ftp://127.0.0.1:1/x cannot be reached: "),
        (["train", *DATA, *SPACE, "--output", "file:///proc/x"], "nas: file:///proc/x cannot be written: "),
        (["train", *SPACE, "--data", "file:///absent/photos", "--output", "x"], "file:///absent"),
        (["fit", "--measured", "x", "--known", "a,smb://host/b", "--output", "x"], "nas: smb://host/b needs a package"),
    ],
)
def test_a_bad_url_is_told_in_one_line(nas: Nas, tmp_path: Path, verb: list[str], told: str) -> None:
    done = nas(*verb, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_python_is_told_how_to_say_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"s3:/bucket/x is no path: from Python, use `with nas.remote"):
        train(TrainConfig(DataOptions("digits", channels=1), Path("s3://bucket/x")))
    assert list(tmp_path.iterdir()) == []


def test_python_gives_a_url_by_a_block(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/x"
    for _ in range(2):
        with mirrored(url) as output:
            done = begin_run(output, "show", ShowConfig(output))
            finish_run(output, {"run": str(output)})
    assert done == {"run": url}
    assert json.loads((tmp_path / "x" / "run.json").read_text())["options"] == {"run": url}
