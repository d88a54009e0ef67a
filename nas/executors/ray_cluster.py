"""The way to a Ray cluster, or to one on this machine alone, with every refusal as one clear line."""

import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

import ray
import ray.exceptions

from search_spaces.errors import InputError

# Ray reads these when it starts: no report to its makers, and what it warns that it is soon to do anyway.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

_AUTO, _CLIENT = "auto", "ray://"
_REACHED_WITHIN_S = 5.0
_HEALTHY_WITHIN_S = 20.0

LOOK_S = 2.0
"""So often is the head looked after, by whoever waits for something."""

_LOST_AFTER_S = float(os.environ.get("RAY_gcs_rpc_server_reconnect_timeout_s", "60")) / 3  # noqa: SIM112  # Ray's own
"""Without its head for all of that time, Ray ends the process there and then: it had better end by itself before."""


def connect(address: str | None, n_cpus: int) -> bool:
    """Connect to a cluster, unless this process is connected to one already.

    Args:
        address: HOST:PORT of its head, ray://HOST:PORT for a client of it, auto for the one on this machine; None
            starts one on this machine, for this process, without a dashboard.
        n_cpus: of the one that is started.

    Returns:
        Whether a connection was made, to be ended by `ray.shutdown`.

    Raises:
        InputError: there is no cluster, it is of another version, or it asks for a token.
    """
    if ray.is_initialized():
        return False
    if address is None:
        ray.init(
            address="local", num_cpus=n_cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
        return True
    if address != _AUTO:
        _require_answer(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, AssertionError, ray.exceptions.RayError) as error:
        ray.shutdown()
        raise refusal(address, error) from None
    # It would print what befalls nodes on standard output, which is the command's, whatever is said of logs above.
    ray._private.worker.print_worker_logs = lambda *_: None
    return True


def refusal(address: str, error: Exception) -> InputError:
    """Return what kept this process from a cluster, in one line."""
    said = " ".join(str(error).split())
    versions = re.findall(r"Ray: (\S+) Python: (\S+)", said)
    if len(versions) == 2:
        there, here = (f"Ray {ray_version} on Python {python}" for ray_version, python in versions)
        return InputError(f"the cluster at {address} runs {there}, this process {here}: install the same versions")
    if "token" in said.lower() and "auth" in said.lower():
        return token_missing(address)
    if address == _AUTO:
        other = " that takes this process's token" if os.environ.get("RAY_AUTH_MODE") == "token" else ""
        return InputError(
            f"no Ray runs on this machine{other}: `ray start --head` starts it, or give --address HOST:PORT"
        )
    return InputError(f"no Ray at {address}: {said}")


def token_missing(address: str) -> InputError:
    """Return the error of a cluster that asks for a token in vain."""
    return InputError(
        f"the cluster at {address} asks for a token that this process does not show: set RAY_AUTH_MODE=token, and "
        "RAY_AUTH_TOKEN_PATH to the file that holds it if that is not ~/.ray/auth_token"
    )


def _require_answer(address: str) -> None:
    """Raise unless a Ray answers: Ray itself would try for minutes.

    Raises:
        InputError: none does.
    """
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"address {address!r}: expected auto, HOST:PORT or ray://HOST:PORT, such as ray://head:10001")
    try:
        socket.create_connection((host, int(port)), timeout=_REACHED_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray at {address}: {error}; is it started, and the port open?") from None
    if not address.startswith(_CLIENT):
        _require_healthy(address)


def _require_healthy(address: str) -> None:
    """Raise unless what answers at HOST:PORT is a Ray head."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        subprocess.run(command, timeout=_HEALTHY_WITHIN_S, capture_output=True, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        said = (error.stderr or b"").decode()
        if "token" in said.lower():
            raise refusal(address, RuntimeError(f"authentication token: {said}")) from None
        raise InputError(
            f"what answers at {address} is no Ray head: give the port of its GCS (6379 unless said otherwise), or "
            "ray://HOST:10001"
        ) from None


class Head:
    """The head of the cluster that this process is connected to.

    Workers answer without it, for a while; no new ones come, and dead ones are not missed.

    Args:
        address: as `connect` was given it.
    """

    def __init__(self, address: str | None) -> None:
        if address and address.startswith(_CLIENT):
            self.address = address.removeprefix(_CLIENT)
        else:
            self.address = ray.get_runtime_context().gcs_address
        self._looked = self._answered = time.monotonic()

    def require(self) -> None:
        """Look whether the head answers, if that was not done just now.

        Raises:
            InputError: it has not answered for long, or this process is not connected any more.
        """
        if not ray.is_initialized():  # a client that gave up; Ray would start a cluster of its own at the next call
            raise self.lost("the connection is closed")
        if time.monotonic() < self._looked + LOOK_S:
            return
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=LOOK_S).close()
            self._answered = time.monotonic()
        except OSError as error:
            if time.monotonic() - self._answered > _LOST_AFTER_S:
                raise self.lost(error) from None
        self._looked = time.monotonic()

    def lost(self, why: object) -> InputError:
        """Return the error of a cluster whose head is gone, for what reason, in one line."""
        silent_s, said = time.monotonic() - self._answered, " ".join(str(why).split())
        return InputError(
            f"the cluster's head at {self.address} has not answered for {silent_s:.0f} s ({said}): "
            "what was finished is kept; mend the way to it, or start a cluster, and run the same command again"
        )


def offers() -> list[Mapping[str, float]]:
    """Return what each living node has in all, by name of the resource."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def describe_offers() -> str:
    """Say in one line what the nodes have."""
    nodes = offers()
    kinds = sorted(
        {name for node in nodes for name in node if not name.startswith(("node:", "memory", "object_store"))}
    )
    most = (f"{name} {max(node.get(name, 0) for node in nodes):g}" for name in kinds)
    return f"{len(nodes)} nodes have at most {', '.join(most)}" if nodes else "the cluster has no nodes"


def require_offer(wanted: Mapping[str, float], what: str) -> None:
    """Raise unless a node has all that is wanted: Ray itself would wait for one for ever.

    Raises:
        InputError: none has; with what they have.
    """
    if not any(all(node.get(name, 0.0) >= amount for name, amount in wanted.items()) for node in offers()):
        listed = ", ".join(f"{name} {amount:g}" for name, amount in wanted.items() if amount)
        raise InputError(f"no node has what {what} takes ({listed}): {describe_offers()}")


def n_fitting(wanted: Mapping[str, float]) -> int:
    """Return how many times over the nodes have what is wanted, if nobody else takes any."""
    return sum(
        int(min(node.get(name, 0.0) // amount for name, amount in wanted.items() if amount)) for node in offers()
    )
