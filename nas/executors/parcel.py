"""An evaluator on its way to workers: its tensors lie side by side, to be read where they are by all of a node."""

import io
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray import cloudpickle
from torch import Tensor, nn

from nas.evaluation.evaluator import Evaluator

_Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Parcel:
    """What `pack` made of an evaluator; only members of one cluster exchange such things.

    Attributes:
        pickled: all of it but the storages of tensors on the processor.
        storages: those, each once, (bytes,).
    """

    pickled: bytes
    storages: Sequence[_Bytes]


def pack(evaluator: Evaluator) -> Parcel:
    """Take an evaluator apart; the storages are its own memory, no copies."""
    file, storages = io.BytesIO(), list[_Bytes]()
    _Packer(file, storages).dump(evaluator)
    return Parcel(file.getvalue(), storages)


def unpack(parcel: Parcel) -> Evaluator:
    """Put an evaluator together on the parcel's own memory; what can only be read there needs no gradients."""
    evaluator = _Unpacker(io.BytesIO(parcel.pickled), parcel.storages).load()
    assert isinstance(evaluator, Evaluator)
    return evaluator


class _Packer(cloudpickle.CloudPickler):  # type: ignore[misc]
    """Pickles tensors as views of storages, so that tensors that share memory do so again."""

    def __init__(self, file: io.BytesIO, storages: list[_Bytes]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._storages = storages
        self._places: dict[int, int] = {}

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor) and obj.layout == torch.strided and not obj.is_meta and not obj.is_quantized:
            layout = (obj.dtype, tuple(obj.shape), obj.stride(), obj.storage_offset())
            return _tensor, (_Stored(self._place(obj)), *layout, isinstance(obj, nn.Parameter), obj.device.type)
        return super().reducer_override(obj)

    def persistent_id(self, obj: Any) -> int | None:
        return obj.place if isinstance(obj, _Stored) else None

    def _place(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._places:
            whole = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(storage)
            self._places[storage.data_ptr()] = len(self._storages)
            self._storages.append(whole.cpu().numpy())
        return self._places[storage.data_ptr()]


@dataclass(frozen=True)
class _Stored:
    """Stands for a storage."""

    place: int


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, storages: Sequence[_Bytes]) -> None:
        super().__init__(file)
        self._storages = storages

    def persistent_load(self, pid: int) -> _Bytes:
        return self._storages[pid]


def _tensor(
    stored: _Bytes,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int,
    is_parameter: bool,
    device: str,
) -> Tensor:
    """Return a view of stored bytes; on a graphics card, if it was on one and there is one here, a copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="The given (NumPy array|buffer) is not writable", category=UserWarning
        )
        flat = torch.from_numpy(stored).view(dtype) if len(stored) else torch.empty(0, dtype=dtype)
    tensor = flat.as_strided(shape, stride, offset)
    if device != "cpu" and torch.get_device_module(device).is_available():
        tensor = tensor.to(device)
    return nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
