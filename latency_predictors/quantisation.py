"""Static quantisation to int8: activations unsigned, weights signed, ranges from runs on examples."""

import dataclasses
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from latency_predictors.model import Model

Feed = Mapping[str, NDArray[Any]]


def quantised(model: Model) -> Model:
    """Return a model in int8, with ranges from its own feed; one that is in int8 already, as it is.

    Latencies hardly depend on the ranges, outputs do: what is to be used is quantised on data, by `quantise`.
    """
    if _is_quantised(model.content):
        return model
    return dataclasses.replace(model, content=quantise(model.content, [model.feed]))


def quantise(content: bytes, feeds: Iterable[Feed]) -> bytes:
    """Return an ONNX model whose convolutions and matrix products compute in int8, where a runtime can.

    Signed activations are several times slower on x86, so activations are unsigned. Weights have a range of each output
    channel and 7 of the 8 bits: processors without VNNI add two products in 16 bits, where larger ones overflow.

    Args:
        content: the model in float32.
        feeds: arrays for its inputs, by name; the smallest and largest activations on all of them are the ranges.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        read, prepared, written = (Path(folder, f"{name}.onnx") for name in ("float32", "prepared", "int8"))
        read.write_bytes(content)
        quant_pre_process(str(read), str(prepared), skip_symbolic_shape=True)  # folds batch norms into convolutions
        quantize_static(
            str(prepared),
            str(written),
            _Feeds(feeds),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        return written.read_bytes()


def _is_quantised(content: bytes) -> bool:
    return any(node.op_type == "QuantizeLinear" for node in onnx.load_from_string(content).graph.node)


class _Feeds(CalibrationDataReader):  # type: ignore[misc]
    """Gives feeds, each once."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(map(dict, self._left), None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence advice to prepare a model that is prepared, which quantising logs on the root."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
