"""OpenVINO on the processor, in float32 and, as onnxruntime's quantisation says, int8."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner
from latency_predictors.quantisation import quantised
from latency_predictors.runtime import Runtime

if TYPE_CHECKING:
    from latency_predictors.device import Device


class OpenVino(Runtime):
    """Reads the ONNX model with its C++ library, which reports to nobody: telemetry is of the converter's tools."""

    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    libraries: ClassVar[tuple[str, ...]] = ("openvino",)
    precisions: ClassVar[tuple[str, ...]] = ("float32", "int8")

    def convert(self, model: Model, device: "Device") -> Model:
        return quantised(model) if device.precision == "int8" else model

    def load(self, model: Model, device: "Device") -> Runner:
        import openvino

        core = openvino.Core()
        network = core.read_model(model.content)
        feed = {
            port.any_name: model.feed[port.any_name] for port in network.inputs
        }  # it drops inputs that nothing reads
        network.reshape({name: list(array.shape) for name, array in feed.items()})
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it
            "INFERENCE_NUM_THREADS": device.threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # the process is held on cores already
        }
        return _Request(core.compile_model(network, "CPU", settings).create_infer_request(), feed)


class _Request(Runner):
    def __init__(self, request: Any, feed: Mapping[str, NDArray[Any]]) -> None:
        import openvino

        self._request = request
        self._arrays = feed  # whose memory the request reads
        for name, array in feed.items():
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def run(self) -> None:
        self._request.infer()

    def output(self) -> Any:
        return self._request.get_output_tensor(0).data.copy()
