"""The memory of this machine, and a group of processes that the kernel ends when they take more than the group has."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import InputError

_ROOT = Path("/sys/fs/cgroup")
_BYTES = 64 << 20


@dataclass(frozen=True)
class Memory:
    """Bytes that this machine has, and that nobody uses."""

    total: int
    available: int


def at_hand() -> Memory:
    """Return the memory of this machine, now."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (int(lines[name].split()[0]) << 10 for name in ("MemTotal", "MemAvailable"))
    return Memory(total, available)


@dataclass(frozen=True)
class Group:
    """A control group of the kernel's, of version 1 or 2.

    Attributes:
        processes: file that takes the processes that join, one a write; what they hold already does not count.
        counts: file that says how many of them were ended.
    """

    processes: Path
    counts: Path

    def n_killed(self) -> int:
        """Return how many processes the kernel has ended for want of memory."""
        counts = dict(line.split() for line in self.counts.read_text().splitlines())
        return int(counts["oom_kill"])


@contextmanager
def little_memory() -> Iterator[Group]:
    """Make a group that has 64 MB, for as long as this is open.

    Raises:
        InputError: no such group can be made here.
    """
    name = f"nas-faults-{os.getpid()}"
    by_itself = _ROOT / "memory"  # version 1 has a tree for each resource, version 2 one for all
    try:
        if by_itself.is_dir():
            folder = by_itself / name
            folder.mkdir()
            limits, counts = {"memory.limit_in_bytes": _BYTES}, "memory.oom_control"
        else:
            folder = _ROOT / name
            (_ROOT / "cgroup.subtree_control").write_text("+memory")
            folder.mkdir()
            limits, counts = {"memory.max": _BYTES, "memory.swap.max": 0}, "memory.events"
        for file, limit in limits.items():
            (folder / file).write_text(str(limit))
    except OSError as error:
        raise InputError(
            f"no memory group can be made ({error.strerror} at {error.filename}): run as root where {_ROOT} can be "
            "written, or leave the fault out"
        ) from None
    try:
        yield Group(folder / "cgroup.procs", folder / counts)
    finally:
        while (folder / "cgroup.procs").read_text():
            time.sleep(0.1)  # who was ended is not gone at once
        folder.rmdir()
