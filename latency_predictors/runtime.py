"""The contract of the software that runs networks on a device: one file of `latency_predictors/runtimes/` each."""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner

if TYPE_CHECKING:
    from latency_predictors.device import Device


class Runtime(ABC):
    """Loads models and runs them.

    Where the project does not need the library that it stands for anyway, the file imports it as it loads models, for
    what the runtime can do is told before that it is not installed, and `setup.cfg` has an extra of the file's name.

    Attributes:
        packages: distributions whose versions make latencies others.
        libraries: modules that the extra brings.
        processors: names of devices that it runs on.
        precisions: number formats that it has.
        in_kits: whether kits bring what it needs to devices where the project is not.
        largest_batch: the most examples it runs at once; None for any number.
    """

    packages: ClassVar[tuple[str, ...]]
    libraries: ClassVar[tuple[str, ...]] = ()
    processors: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    in_kits: ClassVar[bool] = False
    largest_batch: ClassVar[int | None] = None

    @abstractmethod
    def load(self, model: Model, device: Device) -> Runner:
        """Return a model that `convert` returned, ready to run. Any exception means that it does not run here."""

    def convert(self, model: Model, device: Device) -> Model:
        """Return the model in the device's precision."""
        return model

    @contextmanager
    def settings(self, device: Device) -> Iterator[None]:
        """Hold what a whole process must be set to while the runtime loads and runs models."""
        yield

    def fingerprint(self, device: Device) -> dict[str, str]:
        """Describe what, besides the processor, makes latencies others."""
        return {package: importlib.metadata.version(package) for package in self.packages}
