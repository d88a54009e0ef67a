"""ncnn on the processor, in float32; pnnx converts the ONNX model."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner
from latency_predictors.runtime import Runtime

if TYPE_CHECKING:
    from latency_predictors.device import Device


_BATCH_AXIS = re.compile(r"batch_index=(\d+)")


class Ncnn(Runtime):
    """Runs one example at a time: most of its layers know no batch."""

    packages: ClassVar[tuple[str, ...]] = ("ncnn", "pnnx")
    libraries: ClassVar[tuple[str, ...]] = ("ncnn", "pnnx")
    largest_batch: ClassVar[int | None] = 1

    def load(self, model: Model, device: "Device") -> Runner:
        import pnnx

        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "network.onnx").write_bytes(model.content)
            shapes = ",".join(f"[{','.join(map(str, array.shape))}]" for array in model.feed.values())
            subprocess.run(
                [pnnx.EXEC_PATH, "network.onnx", f"inputshape={shapes}", "fp16=0"],
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            return _Extractor(Path(folder), model, device.threads)


class _Extractor(Runner):
    def __init__(self, folder: Path, model: Model, threads: int) -> None:
        import ncnn

        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = threads
        options.use_vulkan_compute = False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        if self._net.load_param(f"{folder}/network.ncnn.param") or self._net.load_model(f"{folder}/network.ncnn.bin"):
            raise ValueError("pnnx wrote layers that ncnn does not know")
        # Which axis pnnx took for the batch and left out, if any, is told in the script that it writes alone.
        *axes, self._axis = map(int, _BATCH_AXIS.findall(Path(folder, "network_ncnn.py").read_text()))
        # A copy of ncnn's own making has the gaps between channels that its layers expect.
        tensors = [
            ncnn.Mat(array, batch_index=axis).clone() for array, axis in zip(model.feed.values(), axes, strict=True)
        ]
        self._inputs = list(zip(self._net.input_names(), tensors, strict=True))
        (self._result,) = self._net.output_names()

    def run(self) -> None:
        extractor = self._net.create_extractor()
        for name, value in self._inputs:
            extractor.input(name, value)
        status, self._output = extractor.extract(self._result)
        if status:
            raise ValueError(f"ncnn stopped with status {status}")

    def output(self) -> Any:
        return np.array(self._output.numpy(batch_index=self._axis))
