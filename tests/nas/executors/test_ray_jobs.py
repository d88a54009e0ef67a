"""Verbs as jobs of a real cluster: submitted, followed, listed, stopped."""

import json
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
from nas.verbs import SubmitConfig, submit
from search_spaces.errors import InputError

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the cluster and its user, who share a token."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("0123456789abcdef" * 2)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": path,
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_AUTH_MODE": "token",
    }


@pytest.fixture(scope="module")
def dashboard(environment: dict[str, str]) -> Iterator[str]:
    """A head with a dashboard, as `ray start` starts it."""
    port, ray_port, client_port = free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=1"]
    ports = [f"--port={ray_port}", f"--dashboard-port={port}", f"--ray-client-server-port={client_port}"]
    head = subprocess.Popen([*command, *ports], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    while True:
        try:
            urllib.request.urlopen(f"{address}/api/version", timeout=5).close()
        except urllib.error.HTTPError:
            break  # it asks for the token
        except OSError:
            assert head.poll() is None
            time.sleep(0.1)
    yield address
    head.send_signal(signal.SIGTERM)
    head.wait(30)


LIFE = """
import json, sys, time
from nas.executors.ray_jobs import Dashboard
from nas.verbs import *
from search_spaces.errors import InputError
dashboard = Dashboard(sys.argv[1])
told = []
while not told:
    try:
        told.append(submit(SubmitConfig(("show", "--run", "nowhere"), dashboard)))
    except InputError as error:  # the head is still starting
        assert "try again later" in str(error)
        time.sleep(0.5)
job = told[0]["job"]
told.append(logs(LogsConfig(job, follow=True, dashboard=dashboard)))
while logs(LogsConfig(job, dashboard=dashboard))["status"] not in ("SUCCEEDED", "FAILED"):
    time.sleep(0.1)
told.append(status(StatusConfig(job, dashboard)))
told.append(submit(SubmitConfig(("search", "--supernet", "none"), dashboard)))
told.append(stop(StopConfig(told[-1]["job"], dashboard)))
for act in (lambda: logs(LogsConfig("x", dashboard=dashboard)), lambda: stop(StopConfig("x", dashboard))):
    try:
        act()
    except InputError as error:
        told.append(str(error))
print(json.dumps(told))
"""


@pytest.mark.slow
def test_jobs_are_submitted_followed_listed_and_stopped(dashboard: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", LIFE, dashboard]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    *said, last = done.stdout.splitlines()
    assert any("nas: nowhere is not the output directory of a nas run" in line for line in said), "the log"
    first, _, listed, search, stopped, *unknown = json.loads(last)
    (job,) = listed["jobs"]
    assert job["job"] == first["job"]
    assert job["status"] == "FAILED"
    assert job["command"] == "python -m nas show --run nowhere"
    assert search["command"] == "python -m nas search --supernet none --address auto", "on the cluster's workers"
    assert stopped["job"] == search["job"]
    assert len(unknown) == 2
    assert all(message.startswith("unknown job 'x': known: ") for message in unknown)


@pytest.mark.slow
def test_who_has_no_token_is_told(dashboard: str, environment: dict[str, str]) -> None:
    lost = environment | {"RAY_AUTH_TOKEN_PATH": "/dev/null", "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-m", "nas", "status", "--dashboard", dashboard]
    done = subprocess.run(command, cwd=ROOT, env=lost, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"the cluster at {dashboard} asks for a token that this process does not show" in done.stderr


def test_what_cannot_be_submitted_is_told_before_anything_is_asked() -> None:
    nowhere = Dashboard(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(InputError, match="unknown verb 'serch': did you mean search"):
        submit(SubmitConfig(("serch",), nowhere))
    with pytest.raises(InputError, match="is about jobs and no job itself"):
        submit(SubmitConfig(("status",), nowhere))
    with pytest.raises(InputError, match=r"no Ray dashboard takes jobs at http://127\.0\.0\.1") as error:
        submit(SubmitConfig(("spaces",), nowhere))
    assert len(str(error.value).splitlines()) == 1
