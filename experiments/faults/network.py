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
from pathlib import Path

from ray.cluster_utils import Cluster

from experiments.faults.trial import wait_until
from search_spaces.errors import InputError

_NAME = "nas-faults-"


@dataclass(frozen=True)
class Branch:
    """A network beside this machine's, which is there while `branch` is open.

    Attributes:
        owner: the process that made it, after which all of it is named.
    """

    owner: int

    @property
    def here(self) -> str:
        """The address of this end of the cable: whatever is to be reached from the other end has it."""
        return self._address(1)

    @property
    def _there(self) -> str:
        return self._address(2)

    def _address(self, end: int) -> str:
        return f"10.231.{self.owner // 64 % 256}.{self.owner % 64 * 4 + end}"

    @property
    def namespace(self) -> str:
        """Its name."""
        return f"{_NAME}{self.owner}"

    @property
    def _cable(self) -> str:
        return f"nas{self.owner}"  # the kernel takes 15 letters

    def processes(self) -> list[int]:
        """Return the processes that run in it."""
        return [int(pid) for pid in _ip("netns", "pids", self.namespace).split()]

    def cut(self, seconds: float) -> None:
        """Let nothing pass in either direction, for so long."""
        _ip("link", "set", self._cable, "down")
        time.sleep(seconds)
        _ip("link", "set", self._cable, "up")

    def join(self) -> None:
        """Make it, and lay the cable."""
        far_end = f"{self._cable}-far"
        _ip("netns", "add", self.namespace)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", far_end, "netns", self.namespace)
        _ip("addr", "add", f"{self.here}/30", "dev", self._cable)
        _ip("link", "set", self._cable, "up")
        _ip("-n", self.namespace, "addr", "add", f"{self._there}/30", "dev", far_end)
        _ip("-n", self.namespace, "link", "set", far_end, "up")
        _ip("-n", self.namespace, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Take it away, with whatever runs in it and the cable, as far as it is there."""
        if self.namespace in _ip("netns", "list").split():
            self.end_all()
            _ip("netns", "del", self.namespace)
        with contextlib.suppress(InputError):
            _ip("link", "del", self._cable)  # unless it went with the namespace

    def end_all(self) -> None:
        """End what runs in it."""
        while processes := self.processes():
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    @contextmanager
    def node_of(self, cluster: Cluster) -> Iterator[None]:
        """Let a node of two CPUs run in it, for as long as this is open."""
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=2", "--num-gpus=0"]
        options = [
            f"--address={cluster.address}",
            f"--node-ip-address={self._there}",
            f"--object-store-memory={150 << 20}",
        ]
        command = ["ip", "netns", "exec", self.namespace, *start, *options]
        n_nodes = _n_alive(cluster)
        node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: _n_alive(cluster) > n_nodes or node.poll() is not None)
            if node.poll() is not None:
                raise RuntimeError(f"no node started in the network of its own: {' '.join(command)} ended")
            yield
        finally:
            self.end_all()
            node.wait()


@contextmanager
def branch() -> Iterator[Branch]:
    """Join another network to this machine's, for as long as this is open; what a killed process left of it goes first.

    Raises:
        InputError: only root may.
    """
    if os.geteuid():
        raise InputError("to cut a network takes a namespace of it: run as root, or leave the fault out")
    for namespace in _ip("netns", "list").split():
        owner = namespace.removeprefix(_NAME)
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            Branch(int(owner)).remove()
    made = Branch(os.getpid())
    try:
        made.join()
        yield made
    finally:
        made.remove()


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
