"""The contract of what is known of a device's latencies and kept as a file: measured, learned, or given by numbers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from latency_predictors.cost_model import CostModel
from latency_predictors.device import Device
from latency_predictors.fingerprint import OtherMachineError, fingerprint, require_same_machine
from search_spaces import SearchSpace
from search_spaces.errors import InputError

Floats = NDArray[np.float64]


def doubts(margin: float, fastest_ms: float) -> str | None:
    """Return in words what speaks against a latency's predictions, if anything does.

    Args:
        margin: of the cost model; above 1, networks may take more than twice as long as predicted.
        fastest_ms: what it predicts for the fastest network; where that is nothing or less, no margin makes a latency
            of it that a budget keeps out.
    """
    found = [f"networks may take {1 + margin:.3g} times as long as predicted, or longer"] if margin > 1 else []
    found += [f"the fastest is predicted to take {fastest_ms:.3g} ms"] if fastest_ms <= 0 else []
    return f"nothing foretells these latencies, as {' and '.join(found)}" if found else None


class LatencyModel(ABC):
    """Predicts the latencies of networks on a device, which it names where that can be measured on.

    Attributes:
        schema: of its files.
        metrics: of what `cost_models` returns.
        device: what found networks are measured on; None where there is nothing to measure on.
        fingerprint: of the device's machine and its software; None where nothing tells which that was.
    """

    schema: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]] = ("latency_ms",)
    device: Device | None
    fingerprint: Mapping[str, str] | None

    @abstractmethod
    def cost_model(self, space: SearchSpace) -> CostModel:
        """Return the latency of a space's networks in ms, with the margin that its error calls for.

        Raises:
            InputError: nothing is known of this space.
        """

    def cost_models(self, space: SearchSpace) -> Mapping[str, CostModel]:
        """Return all that the model knows of what a space's networks cost, by metric.

        Raises:
            InputError: nothing is known of this space.
        """
        return {"latency_ms": self.cost_model(space)}

    @abstractmethod
    def on_device(self, device: Device) -> Self:
        """Return the model of a device that is in another place now.

        Raises:
            InputError: there is no device.
        """

    def tested(self) -> tuple[Floats, Floats]:
        """Return measured and predicted latencies (n,), (n,) in ms of networks left out of the fit, if any."""
        return np.empty(0), np.empty(0)

    def require_at_hand(self) -> dict[str, str] | None:
        """Return the fingerprint of the device's machine, this one or one that answers; None if there is no device.

        Raises:
            OtherMachineError: names how the machine differs from the model's.
            InputError: names what is lacking.
        """
        if self.device is None:
            return None
        if self.fingerprint is None:
            found = fingerprint(self.device)
        else:
            try:
                found = require_same_machine(self.fingerprint, self.device)
            except OtherMachineError as error:
                raise OtherMachineError(f"latency model {error}") from None
        self.device.require_possible()
        return found

    def moved(self, host: str) -> Self:
        """Return the model of a device that answers at ssh://user@host[:port] now.

        Raises:
            InputError: there is no device, or the address is none.
        """
        if self.device is None:
            raise InputError(f"at {host}: the latency model names no device to be measured on; leave that out")
        return self.on_device(Device.from_json(self.device.to_json() | {"host": host}))

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the model as one file."""

    @classmethod
    @abstractmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing, damaged, or follows another schema.
        """
