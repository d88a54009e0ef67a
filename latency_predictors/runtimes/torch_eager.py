"""torch as it runs without a compiler: on the processor, or on a GPU with its kernels launched one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner
from latency_predictors.runtime import Runtime
from latency_predictors.torch_runner import CudaRunner, TorchRunner, gpu_name, on_device, torch_threads

if TYPE_CHECKING:
    from latency_predictors.device import Device


class TorchEager(Runtime):
    """Runs the module."""

    packages: ClassVar[tuple[str, ...]] = ("torch",)
    processors: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def load(self, model: Model, device: "Device") -> Runner:
        runner = TorchRunner if device.name == "cpu" else CudaRunner
        return runner(*on_device(model, device.name))

    @contextmanager
    def settings(self, device: "Device") -> Iterator[None]:
        with torch_threads(device.threads):
            yield

    def fingerprint(self, device: "Device") -> dict[str, str]:
        return super().fingerprint(device) | gpu_name(device.name)
