"""Verbs as jobs of a real cluster: submitted, followed, listed, stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.executors.ray_jobs import Dashboard
from nas.verbs import LogsConfig, StatusConfig, StopConfig, SubmitConfig, logs, status, stop, submit
from search_spaces.errors import InputError

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def dashboard() -> Iterator[Dashboard]:
    """A head with a dashboard, as `ray start` starts it."""
    port, ray_port, client_port = free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=1"]
    ports = [f"--port={ray_port}", f"--dashboard-port={port}", f"--ray-client-server-port={client_port}"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PATH": path}
    head = subprocess.Popen([*command, *ports], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/api/jobs/", timeout=5).close()
            break
        except (urllib.error.URLError, OSError):
            assert head.poll() is None
            time.sleep(0.1)
    yield Dashboard(address)
    head.send_signal(signal.SIGTERM)
    head.wait(30)


def test_a_verb_runs_as_a_job(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    submitted = submit(SubmitConfig(("spaces", "--format", "json"), dashboard))
    ended = logs(LogsConfig(submitted["job"], follow=True, dashboard=dashboard))
    assert "ofa_mobilenet_v3" in capsys.readouterr().out
    for _ in range(100):
        if ended["status"] == "SUCCEEDED":
            break
        time.sleep(0.1)
        ended = logs(LogsConfig(submitted["job"], dashboard=dashboard))
    (job,) = status(StatusConfig(submitted["job"], dashboard))["jobs"]
    assert job["status"] == ended["status"] == "SUCCEEDED"
    assert job["command"] == "python -m nas spaces --format json"
    assert not stop(StopConfig(submitted["job"], dashboard))["was_running"]


def test_a_search_as_a_job_uses_its_cluster_and_can_be_stopped(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    submitted = submit(SubmitConfig(("search", "--supernet", "none"), dashboard))
    assert submitted["command"] == "python -m nas search --supernet none --address auto"
    assert stop(StopConfig(submitted["job"], dashboard))["status"] in ("PENDING", "RUNNING", "STOPPED", "FAILED")


@pytest.mark.parametrize("act", [lambda d: logs(LogsConfig("x", dashboard=d)), lambda d: stop(StopConfig("x", d))])
def test_an_unknown_job_is_told(act: object, dashboard: Dashboard) -> None:
    with pytest.raises(InputError, match="unknown job 'x'"):
        act(dashboard)  # type: ignore[operator]


def test_what_cannot_be_submitted_is_told_before_anything_is_asked() -> None:
    nowhere = Dashboard(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(InputError, match="unknown verb 'serch': did you mean search"):
        submit(SubmitConfig(("serch",), nowhere))
    with pytest.raises(InputError, match="is about jobs and no job itself"):
        submit(SubmitConfig(("status",), nowhere))
    with pytest.raises(InputError, match=r"no Ray dashboard takes jobs at http://127\.0\.0\.1") as error:
        submit(SubmitConfig(("spaces",), nowhere))
    assert len(str(error.value).splitlines()) == 1
