"""Which machine and which versions a latency was measured with: a table is true only where it was made."""

import importlib.metadata
from collections.abc import Mapping

from latency_predictors import runtimes
from latency_predictors.device import Device
from latency_predictors.kit import remote
from latency_predictors.on_device import machine
from search_spaces.errors import InputError

_PACKAGES = ("onnxruntime", "torch", "onnx")


class OtherMachineError(InputError):
    """A latency was measured on another machine than the one that is at hand."""


def fingerprint(device: Device | None = None) -> dict[str, str]:
    """Describe the machine of a device and its versions, by name and without anything of its owner.

    Args:
        device: on this machine or elsewhere; by default this machine, whatever runs on it.

    Raises:
        InputError: the device does not answer, or its runtime is not installed.
    """
    if device is not None and device.host is not None:
        return remote.describe_machine(device)
    here = machine.describe() | {package: importlib.metadata.version(package) for package in _PACKAGES}
    return here if device is None else here | runtimes.load(device.runtime).fingerprint(device)


def decisive(described: Mapping[str, str], device: Device) -> dict[str, str | None]:
    """Return the entries of a fingerprint that make a device's machine another one; None for what it does not say."""
    names = [*machine.DECISIVE, *runtimes.load(device.runtime).fingerprint(device)]
    return {name: described.get(name) for name in names}


def differences(recorded: Mapping[str, str], found: Mapping[str, str], device: Device) -> str:
    """Return in words how a device's machine differs from that of a fingerprint; nothing if latencies are the same.

    Args:
        recorded: the fingerprint.
        found: that of the device's machine now.
        device: says which entries matter.
    """
    there, here = decisive(recorded, device), decisive(found, device)
    return "; ".join(
        f"{name} {there[name]!r} there, {here[name]!r} {device.host or 'here'}"
        for name in here
        if there[name] != here[name]
    )


def require_same_machine(recorded: Mapping[str, str], device: Device) -> dict[str, str]:
    """Return the fingerprint of a device, which `recorded` is, too, up to entries that leave latencies alone.

    Raises:
        OtherMachineError: names what differs.
        InputError: the device does not answer, or its runtime is not installed.
    """
    found = fingerprint(device)
    if different := differences(recorded, found, device):
        raise OtherMachineError(f"measured on another machine ({different}): measure again on this one")
    return found


def require_one_machine(begun: Mapping[str, str], found: Mapping[str, str], device: Device) -> None:
    """Raise unless a device's machine is still that of the fingerprint with which its measurements began.

    Each connection to a host may end at another machine: at another node behind one address, at a board put in place
    of the first.

    Raises:
        OtherMachineError: names what differs.
    """
    if different := differences(begun, found, device):
        raise OtherMachineError(
            f"{device.host or 'this machine'} is another machine than at the beginning ({different}), and measurements "
            "of two are not mixed: see to it that one answers, and give the same command again"
        )
