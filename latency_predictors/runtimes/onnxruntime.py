"""onnxruntime on the processor, in float32 and, quantised statically, int8."""

from typing import TYPE_CHECKING, ClassVar

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner, Session
from latency_predictors.quantisation import quantised
from latency_predictors.runtime import Runtime

if TYPE_CHECKING:
    from latency_predictors.device import Device


class OnnxRuntime(Runtime):
    """Runs the ONNX model as it is."""

    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    precisions: ClassVar[tuple[str, ...]] = ("float32", "int8")
    in_kits: ClassVar[bool] = True

    def convert(self, model: Model, device: "Device") -> Model:
        return quantised(model) if device.precision == "int8" else model

    def load(self, model: Model, device: "Device") -> Runner:
        return Session(model.content, model.feed, device.threads, device.batch_size)
