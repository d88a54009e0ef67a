"""Quantised weights have the range that processors multiply exactly."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from latency_predictors.model import Model
from latency_predictors.quantisation import quantised


def test_weights_have_seven_of_the_eight_bits(matmul: Callable[..., Model]) -> None:
    graph = onnx.load_from_string(quantised(matmul(4)).content).graph
    (weights,) = (one for one in graph.initializer if one.data_type == TensorProto.INT8 and len(one.dims) == 2)
    np.testing.assert_array_equal(numpy_helper.to_array(weights), 64 * np.eye(4))
