"""ExecuTorch on the processor, in float32, with XNNPACK's kernels wherever they can run."""

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner
from latency_predictors.runtime import Runtime

if TYPE_CHECKING:
    from latency_predictors.device import Device


class ExecuTorch(Runtime):
    """Lowers what torch.export captures of the module."""

    packages: ClassVar[tuple[str, ...]] = ("executorch", "torch")
    libraries: ClassVar[tuple[str, ...]] = ("executorch.runtime",)

    def load(self, model: Model, device: "Device") -> Runner:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
        from executorch.extension.pybindings.portable_lib import _threadpool_get_thread_count, _unsafe_reset_threadpool

        if _threadpool_get_thread_count() != device.threads:
            _unsafe_reset_threadpool(device.threads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch, about how it is used here
            captured = torch.export.export(model.module.eval(), tuple(model.tensors()))
            lowered = to_edge_transform_and_lower(captured, partitioner=[XnnpackPartitioner()]).to_executorch()
        return _Method(lowered.buffer, model)


class _Method(Runner):
    def __init__(self, content: bytes, model: Model) -> None:
        from executorch.runtime import Runtime as Library

        self._content = content  # which the program reads as it runs
        self._program = Library.get().load_program(content)
        self._method: Any = self._program.load_method("forward")
        self._tensors = model.tensors()

    def run(self) -> None:
        (self._output,) = self._method.execute(self._tensors)

    def output(self) -> Any:
        return self._output.numpy()
