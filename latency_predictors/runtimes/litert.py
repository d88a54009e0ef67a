"""LiteRT, formerly TensorFlow Lite, on the processor, in float32, with XNNPACK's kernels."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner
from latency_predictors.runtime import Runtime

if TYPE_CHECKING:
    from latency_predictors.device import Device


class LiteRT(Runtime):
    """Converts what torch.export captures of the module."""

    packages: ClassVar[tuple[str, ...]] = ("ai-edge-litert", "litert-torch")
    libraries: ClassVar[tuple[str, ...]] = ("litert_torch", "ai_edge_litert.interpreter")

    def load(self, model: Model, device: "Device") -> Runner:
        import litert_torch
        from ai_edge_litert.interpreter import Interpreter

        converted = litert_torch.convert(model.module.eval(), tuple(model.tensors()))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "network.tflite")
            converted.export(str(file))
            content = file.read_bytes()
        return _Interpreter(Interpreter(model_content=content, num_threads=device.threads), model)


class _Interpreter(Runner):
    def __init__(self, interpreter: Any, model: Model) -> None:
        self._interpreter = interpreter
        interpreter.allocate_tensors()
        inputs = sorted(interpreter.get_input_details(), key=lambda entry: str(entry["name"]))  # numbered in order
        for entry, array in zip(inputs, model.feed.values(), strict=True):
            interpreter.set_tensor(entry["index"], array)
        (self._result,) = (entry["index"] for entry in interpreter.get_output_details())

    def run(self) -> None:
        self._interpreter.invoke()

    def output(self) -> Any:
        return self._interpreter.get_tensor(self._result)
