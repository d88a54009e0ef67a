"""The machine that this runs on: what it is, and how it is while it measures."""

from __future__ import annotations

import os
import platform
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DECISIVE = ("cpu", "cores", "architecture")
"""The entries that, with the versions of the runtime, make a machine another one as far as its latencies go."""

_CPU_VERSION = (
    *(("family", "cpu family"), ("model", "model"), ("stepping", "stepping")),
    *((name, f"CPU {name}") for name in ("implementer", "variant", "part", "revision")),  # ARM, which names nothing
)


def describe() -> dict[str, str]:
    """Describe this machine, by name and without anything of its owner."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "architecture": platform.machine(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def n_cores() -> int:
    """Return how many cores this process may use."""
    return len(usable_cores()) or os.cpu_count() or 1


def usable_cores() -> list[int]:
    """Return the numbers of the cores that this process may be held on; none where the system knows no affinity."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []


def unusable(cores: Sequence[int]) -> str:
    """Return what is wrong with holding runs on these cores, in words; nothing where it can be done."""
    usable = usable_cores()
    absent = [core for core in cores if core not in usable]
    told = ", ".join(map(str, usable)) or "none that it can choose"
    return f"core {absent[0]} is not among those that this process may use: {told}" if absent else ""


def _cpu_model() -> str:
    """Return the processor's name and version, and the board's name where it is one."""
    try:
        if platform.system() == "Darwin":
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except (OSError, subprocess.CalledProcessError):
        return platform.processor() or platform.machine()
    try:
        board = Path("/proc/device-tree/model").read_text(errors="replace").strip("\0\n ")
    except OSError:
        board = ""
    return _cpu_in_words(cpuinfo, board)


def _cpu_in_words(cpuinfo: str, board: str) -> str:
    """Return the name and the version of each kind of core, then the board.

    Virtual machines shorten the name, and ARM has none; a phone has fast cores and slow ones.
    """
    kinds: dict[str, None] = {}
    for core in cpuinfo.split("\n\n"):
        entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in core.splitlines())}
        if "processor" in entries:  # what stands after the cores has the serial number of a board
            version = [f"{name} {entries[key]}" for name, key in _CPU_VERSION if key in entries]
            kinds[" ".join([entries.get("model name", platform.machine()), *version])] = None
    return ", ".join([*(kinds or [platform.machine()]), *filter(None, [board])])


def clock_mhz(core: int | None) -> list[float]:
    """Return the clock of a core, where the system tells it."""
    try:
        return [int(Path(f"/sys/devices/system/cpu/cpu{core or 0}/cpufreq/scaling_cur_freq").read_text()) / 1000]
    except (OSError, ValueError):
        return []


def load_average() -> float | None:
    """Return the mean number of running processes over the last minute, this one among them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


@contextmanager
def pinned(n: int, cores: Sequence[int] | None = None) -> Iterator[int | None]:
    """Hold this process on some cores: all of its threads, as a runtime may have started its own before.

    Yields one of them, or None where the system knows no affinity.

    Args:
        n: how many.
        cores: which; None for the last, as the first serve most interrupts.
    """
    allowed = usable_cores()
    if not allowed:
        yield None
        return
    held = allowed[-n:] if cores is None else cores
    os.sched_setaffinity(0, held)
    before = {thread: _move(thread, held) for thread in _threads()}
    try:
        yield held[-1]
    finally:
        os.sched_setaffinity(0, allowed)
        for thread in _threads():
            _move(thread, before.get(thread) or allowed)


def _threads() -> list[int]:
    """Return the other threads of this process, where the system tells them."""
    tasks = Path("/proc/self/task")
    numbers = [int(task.name) for task in tasks.iterdir()] if tasks.exists() else []
    return [number for number in numbers if number != threading.get_native_id()]


def _move(thread: int, cores: Sequence[int]) -> list[int]:
    """Hold a thread on some cores; return those that it was held on, none if it has ended."""
    try:
        before = sorted(os.sched_getaffinity(thread))
        os.sched_setaffinity(thread, cores)
    except ProcessLookupError:
        return []
    return before
