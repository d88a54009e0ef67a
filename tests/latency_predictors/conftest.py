"""The spaces of these tests: one to enumerate, one of real blocks that is small."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import search_spaces
from latency_predictors.model import Model
from search_spaces import SearchSpace

TOY = Path(__file__).parents[1] / "nas" / "spaces"


@pytest.fixture(scope="module")
def toy() -> Iterator[Callable[..., Any]]:
    """Loads the space of `tests/nas/spaces/toy.py` with the given options."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_spaces.spaces, "__path__", [*search_spaces.spaces.__path__, str(TOY)])
        yield lambda **options: search_spaces.load("toy", **options)


@pytest.fixture(scope="session")
def small() -> SearchSpace:
    return search_spaces.load("mobilenet_v3_32", resolutions=(16,), width=0.25)


@pytest.fixture(scope="session")
def matmul() -> Callable[..., Model]:
    """Makes y = x W with a square W, x of shape (batch, size)."""

    def make(size: int, batch_size: int = 1) -> Model:
        weight = numpy_helper.from_array(np.eye(size, dtype=np.float32), "weight")
        shape = ["batch", size]
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["input", "weight"], ["output"])],
            "network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        feed = {"input": np.ones((batch_size, size), np.float32)}
        return Model(model.SerializeToString(), feed, torch.nn.Identity())

    return make
