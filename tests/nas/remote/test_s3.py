"""Verbs whose directories are in an object store: a server of this machine that speaks S3's protocol."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from latency_predictors.analytic.roofline import Roofline
from nas import run_lock
from nas.remote.store import Store
from search_spaces.errors import InputError
from tests.nas.conftest import COMMAND, Nas
from tests.nas.remote.test_staging import DATA, SEARCH, SPACE

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_copies")]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Store]:
    """A bucket, whose server this process and those that it starts are told of by the environment."""
    import boto3

    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="runs")
        yield Store("s3://runs")
    moto.stop()


def lines(bucket: Store, name: str) -> list[bytes]:
    return (bucket.read(name) or b"").splitlines()


def begun(bucket: Store, search: list[str], name: str, copies: Path) -> "subprocess.Popen[str]":
    """Return a search in a process of its own that has evaluated some networks."""
    own = os.environ | {"TMPDIR": str(copies)}
    driver = subprocess.Popen([*COMMAND, *search, f"s3://runs/x/{name}"], stderr=subprocess.PIPE, text=True, env=own)
    while len(lines(bucket, f"x/{name}/evaluated.jsonl")) < 5:
        assert driver.poll() is None
        time.sleep(0.02)
    return driver


def test_a_search_in_a_bucket_that_was_killed_goes_on_and_one_taken_over_from_ends(
    nas: Nas, bucket: Store, tmp_path: Path
) -> None:
    Roofline().save(tmp_path / "device.json")
    bucket.put("device.json", tmp_path / "device.json")
    trained = nas("train", *DATA, *SPACE, "--train.epochs", "1", "--output", "s3://runs/x/train")
    assert trained.returncode == 0, trained.stderr
    inputs = ["--supernet", "s3://runs/x/train", "--table", "s3://runs/device.json"]
    search = ["search", *inputs, *SEARCH, "--search.n-evaluated", "150", "--output"]
    with begun(bucket, search, "killed", tmp_path) as driver:
        refused = nas(*search, "s3://runs/x/killed").stderr
        assert f"nas: s3://runs/x/killed is in use by another process (process {driver.pid} on" in refused
        driver.send_signal(signal.SIGKILL)
    went_on = nas(*search, "s3://runs/x/killed")
    assert went_on.returncode == 0, went_on.stderr
    assert nas(*search, "s3://runs/x/straight").returncode == 0
    assert bucket.read("x/killed/evaluated.jsonl") == bucket.read("x/straight/evaluated.jsonl")
    with begun(bucket, search, "taken", tmp_path) as driver:
        taken = nas(*search, "s3://runs/x/taken", "--force")
        _, told = driver.communicate(timeout=60)
    assert taken.returncode == 0, taken.stderr
    assert driver.returncode == 2
    assert "nas: s3://runs/x/taken was taken over by another driver: this one has ended" in told
    assert bucket.read("x/taken/evaluated.jsonl") == bucket.read("x/straight/evaluated.jsonl")
    assert bucket.read("x/taken/result.json") is not None
    exported = nas("export", "--search", "s3://runs/x/taken", "--output", "s3://runs/x/export")
    assert exported.returncode == 0, exported.stderr
    report = json.loads(bucket.read("x/export/report.json") or b"")
    assert report["architecture"] == json.loads(bucket.read("x/straight/result.json") or b"")["architecture"]
    assert not [name for name in bucket.files() if Path(name).name == run_lock.FILE]


def test_a_bucket_that_is_not_there_is_told(bucket: Store, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(InputError, match="s3://absent/x cannot be written: The specified bucket does not exist"):
        Store("s3://absent/x").put("x", tmp_path / "x")


def test_a_server_that_does_not_answer_is_told(bucket: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(InputError, match=r's3://runs cannot be read: Could not connect.*"http://127.0.0.1:1'):
        Store("s3://runs").files()


def test_a_missing_key_is_told(bucket: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"s3://runs cannot be read: .*credentials"):
        Store("s3://runs").files()
