"""Which machine and which versions a latency was measured with: a table is true only where it was made."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from search_spaces.errors import InputError

_PACKAGES = ("onnxruntime", "torch", "onnx")
_CPU_VERSION = (("family", "cpu family"), ("model", "model"), ("stepping", "stepping"))

_DECISIVE = ("cpu", "cores", "architecture", "onnxruntime")
"""The entries that make a machine another one as far as its latencies go."""


def fingerprint() -> dict[str, str]:
    """Describe this machine and its versions, by name and without anything of its owner."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "architecture": platform.machine(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
    }


def require_same_machine(recorded: Mapping[str, str]) -> None:
    """Raise unless `recorded` is the fingerprint of this machine, up to entries that leave latencies alone.

    Raises:
        InputError: the machine is another; the message names what differs.
    """
    here = fingerprint()
    different = [
        f"{name} {recorded.get(name)!r} there, {here[name]!r} here"
        for name in _DECISIVE
        if recorded.get(name) != here[name]
    ]
    if different:
        raise InputError(f"measured on another machine ({'; '.join(different)}): profile again on this one")


def _cpu_model() -> str:
    """Return the processor's name with its family, model and stepping, since virtual machines shorten the name."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    first = cpuinfo.read_text().split("\n\n", 1)[0]
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    version = [f"{name} {entries[key]}" for name, key in _CPU_VERSION if key in entries]
    return " ".join([entries.get("model name", platform.machine()), *version])
