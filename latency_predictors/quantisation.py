"""Static quantisation to int8: activations unsigned, weights signed, ranges from a run on the model's own feed."""

import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from latency_predictors.model import Model


def quantised(model: Model) -> Model:
    """Return a model whose convolutions and matrix products compute in int8, where a runtime can.

    Signed activations are several times slower on x86, so activations are unsigned.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        read, prepared, written = (Path(folder, f"{name}.onnx") for name in ("float32", "prepared", "int8"))
        read.write_bytes(model.content)
        quant_pre_process(str(read), str(prepared), skip_symbolic_shape=True)  # folds batch norms into convolutions
        quantize_static(
            str(prepared),
            str(written),
            _Feed(model.feed),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return dataclasses.replace(model, content=written.read_bytes())


class _Feed(CalibrationDataReader):  # type: ignore[misc]
    """Gives one feed, once."""

    def __init__(self, feed: Mapping[str, NDArray[Any]]) -> None:
        self._left = [dict(feed)]

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return self._left.pop() if self._left else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence advice to prepare a model that is prepared, which quantising logs on the root."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
