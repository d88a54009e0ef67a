"""What the runtimes of torch share: modules that run on the processor, or on a GPU between two events."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from latency_predictors.model import Model
from latency_predictors.on_device.runner import Runner
from latency_predictors.runtime import Runtime
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from latency_predictors.device import Device

Function = Callable[..., Tensor]


class TorchRuntime(Runtime):
    """What each of them says of a device."""

    packages: ClassVar[tuple[str, ...]] = ("torch",)
    processors: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    @contextmanager
    def settings(self, device: "Device") -> Iterator[None]:
        with _torch_threads(device.threads):
            yield

    def fingerprint(self, device: "Device") -> dict[str, str]:
        return super().fingerprint(device) | _gpu_name(device.name)


class TorchRunner(Runner):
    """Runs a function of tensors."""

    def __init__(self, function: Function, tensors: Sequence[Tensor]) -> None:
        self._function = function
        self._tensors = tensors

    def run(self) -> None:
        with torch.inference_mode():
            self._output = self._function(*self._tensors)

    def output(self) -> Any:
        return self._output.cpu().numpy()


class CudaRunner(TorchRunner):
    """Runs a function of tensors on a GPU, and times it there: from before its first kernel to after its last."""

    def __init__(self, function: Function, tensors: Sequence[Tensor]) -> None:
        super().__init__(function, tensors)
        self._before, self._after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]

    def run(self) -> None:
        self._before.record()
        super().run()
        self._after.record()
        self._after.synchronize()

    def time_ms(self) -> float:
        self.run()
        return float(self._before.elapsed_time(self._after))


def on_device(model: Model, name: str) -> tuple[torch.nn.Module, list[Tensor]]:
    """Return a copy of a model's module, and its inputs, on a device."""
    module = copy.deepcopy(model.module).eval().to(name)
    return module, [tensor.to(name) for tensor in model.tensors()]


@contextmanager
def _torch_threads(n_threads: int) -> Iterator[None]:
    """Hold torch at a number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _gpu_name(name: str) -> dict[str, str]:
    """Return which GPU a device is, for its fingerprint; nothing for a processor.

    Raises:
        InputError: there is no GPU.
    """
    if name == "cpu":
        return {}
    if not torch.cuda.is_available():
        raise InputError(f"device name {name}: torch finds no GPU here: use cpu, or a build of torch for your GPU")
    return {"gpu": torch.cuda.get_device_name()}
