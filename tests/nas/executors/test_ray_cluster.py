"""Where there is no Ray, or none that this process can talk to, that is said in one line and in seconds."""

import socket
import time

import pytest
import ray

from nas.executors import ray_cluster
from search_spaces.errors import InputError

MISMATCH = """Version mismatch: The cluster was started with:
    Ray: 2.60.0
    Python: 3.11.7
This process on Ray was started with:
    Ray: 2.59.0
    Python: 3.12.1
"""


@pytest.mark.parametrize("address", ["head", "head:x", ":6379", "ray://head"])
def test_an_address_has_a_host_and_a_port(address: str) -> None:
    with pytest.raises(InputError, match="expected auto, HOST:PORT or ray://HOST:PORT"):
        ray_cluster.connect(address, 1)


def test_a_port_that_is_closed_or_another_program_s_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "_HEALTHY_WITHIN_S", 4.0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(InputError, match=f"no Ray at {address}: .*refused"):
            ray_cluster.connect(address, 1)
        other.listen()
        with pytest.raises(InputError, match=f"what answers at {address} is no Ray head"):
            ray_cluster.connect(address, 1)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (MISMATCH, "the cluster at h:1 runs Ray 2.60.0 on Python 3.11.7, this process Ray 2.59.0 on Python 3.12.1:"),
        ("Unauthenticated: Authentication failed: missing token", "asks for a token that this process does not show"),
        ("Ray Client\nconnection timed out", "no Ray at h:1: Ray Client connection timed out"),
    ],
)
def test_what_ray_says_in_many_lines_is_said_in_one(said: str, told: str) -> None:
    message = str(ray_cluster.refusal("h:1", RuntimeError(said)))
    assert told in message
    assert "\n" not in message


def test_a_head_that_is_gone_for_long_is_told_and_one_that_comes_back_is_forgiven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_cluster, "LOOK_S", 0.05)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{port.getsockname()[1]}"
        head = ray_cluster.Head(f"ray://{address}")
        monkeypatch.setattr(ray_cluster, "_LOST_AFTER_S", 1000.0)
        time.sleep(0.1)
        head.require()
        monkeypatch.setattr(ray_cluster, "_LOST_AFTER_S", 0.2)
        port.listen()
        time.sleep(0.1)
        head.require()
    time.sleep(0.3)
    with pytest.raises(InputError, match=f"the cluster's head at {address} has not answered for .* refused") as error:
        head.require()
    assert len(str(error.value).splitlines()) == 1
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InputError, match=f"{address} has not answered for .*the connection is closed"):
        head.require()
