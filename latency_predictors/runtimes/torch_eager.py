"""torch as it runs without a compiler: on the processor, or on a GPU with its kernels launched one by one."""

from typing import TYPE_CHECKING

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner
from latency_predictors.torch_runtime import CudaRunner, TorchRunner, TorchRuntime, on_device

if TYPE_CHECKING:
    from latency_predictors.device import Device


class TorchEager(TorchRuntime):
    """Runs the module."""

    def load(self, model: Model, device: "Device") -> Runner:
        runner = TorchRunner if device.name == "cpu" else CudaRunner
        return runner(*on_device(model, device.name))
