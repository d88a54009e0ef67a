"""A node in a network of its own, whose cable can be cut: a namespace of the kernel's, joined by two interfaces."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ray.cluster_utils import Cluster

from experiments.faults.trial import wait_until
from search_spaces.errors import InputError

HERE, _THERE = "10.231.7.1", "10.231.7.2"
"""Addresses of the two ends of the cable: everything else is on this one."""

_NAMESPACE, _CABLE, _FAR_END = "nas-faults", "nas-faults-0", "nas-faults-1"


@dataclass(frozen=True)
class Branch:
    """A network beside this machine's, which is there while `branch` is open."""

    def processes(self) -> list[int]:
        """Return the processes that run in it."""
        return [int(pid) for pid in _ip("netns", "pids", _NAMESPACE).split()]

    def cut(self, seconds: float) -> None:
        """Let nothing pass in either direction, for so long."""
        _ip("link", "set", _CABLE, "down")
        time.sleep(seconds)
        _ip("link", "set", _CABLE, "up")

    @contextmanager
    def node_of(self, cluster: Cluster) -> Iterator[None]:
        """Let a node of two CPUs run in it, for as long as this is open."""
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=2", "--num-gpus=0"]
        options = [f"--address={cluster.address}", f"--node-ip-address={_THERE}", f"--object-store-memory={150 << 20}"]
        command = ["ip", "netns", "exec", _NAMESPACE, *start, *options]
        n_nodes = _n_alive(cluster)
        node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: _n_alive(cluster) > n_nodes or node.poll() is not None)
            yield
        finally:
            _end_all(self)
            node.wait()


@contextmanager
def branch() -> Iterator[Branch]:
    """Join another network to this machine's, for as long as this is open; what a killed process left of it goes first.

    Raises:
        InputError: only root may.
    """
    if os.geteuid():
        raise InputError("to cut a network takes a namespace of it: run as root, or leave the fault out")
    _remove()
    try:
        _ip("netns", "add", _NAMESPACE)
        _ip("link", "add", _CABLE, "type", "veth", "peer", "name", _FAR_END, "netns", _NAMESPACE)
        _ip("addr", "add", f"{HERE}/30", "dev", _CABLE)
        _ip("link", "set", _CABLE, "up")
        _ip("-n", _NAMESPACE, "addr", "add", f"{_THERE}/30", "dev", _FAR_END)
        _ip("-n", _NAMESPACE, "link", "set", _FAR_END, "up")
        _ip("-n", _NAMESPACE, "link", "set", "lo", "up")
        yield Branch()
    finally:
        _remove()


def _remove() -> None:
    """Take the namespace away, with whatever runs in it, if there is one."""
    if _NAMESPACE in _ip("netns", "list").split():
        _end_all(Branch())
        _ip("netns", "del", _NAMESPACE)
    with contextlib.suppress(InputError):
        _ip("link", "del", _CABLE)  # unless it went with the namespace


def _end_all(branch: Branch) -> None:
    while processes := branch.processes():
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _n_alive(cluster: Cluster) -> int:
    return sum(node["Alive"] for node in cluster.global_state.node_table())


def _ip(*arguments: str) -> str:
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InputError("to cut a network takes the command `ip`: install iproute2, or leave the fault out") from None
    if done.returncode:
        raise InputError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
