"""The machine that this runs on: what it is, and how it is while it measures."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DECISIVE = ("cpu", "cores", "architecture")
"""The entries that, with the versions of the runtime, make a machine another one as far as its latencies go."""

_CPU_VERSION = (("family", "cpu family"), ("model", "model"), ("stepping", "stepping"))


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
    """Return the processor's name with its family, model and stepping, since virtual machines shorten the name."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    first = cpuinfo.read_text().split("\n\n", 1)[0]
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    version = [f"{name} {entries[key]}" for name, key in _CPU_VERSION if key in entries]
    return " ".join([entries.get("model name", platform.machine()), *version])


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
    """Hold the calling thread, and threads started within, on some cores.

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
    try:
        yield held[-1]
    finally:
        os.sched_setaffinity(0, allowed)
