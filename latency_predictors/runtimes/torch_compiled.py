"""torch.compile's networks: C++ on the processor; on a GPU Triton's kernels, launched as one CUDA graph."""

import warnings
from typing import TYPE_CHECKING

import torch

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner
from latency_predictors.torch_runtime import CudaRunner, TorchRunner, TorchRuntime, on_device

if TYPE_CHECKING:
    from torch import Tensor

    from latency_predictors.device import Device
    from latency_predictors.torch_runtime import Function

_WARMUP_RUNS = 3  # of a CUDA graph, before it is captured, on a stream of its own


class TorchCompiled(TorchRuntime):
    """Compiles each module for the shapes of its inputs."""

    def load(self, model: Model, device: "Device") -> Runner:
        module, tensors = on_device(model, device.name)
        # Models of one class would share eight compilations, and the ninth would silently run uncompiled.
        compiled = torch.compile(module, fullgraph=True, dynamic=False, isolate_recompiles=True)  # type: ignore[call-overload]
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # what torch deprecates in its own compiler
            compiled(*tensors)
        if device.name == "cpu":
            return TorchRunner(compiled, tensors)
        return CudaRunner(_captured(compiled, tensors), ())


def _captured(function: "Function", tensors: "list[Tensor]") -> "Function":
    """Return a function that replays a run on these tensors."""
    with torch.inference_mode():
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARMUP_RUNS):
                function(*tensors)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = function(*tensors)

    def replay() -> "Tensor":
        graph.replay()
        return output

    return replay
