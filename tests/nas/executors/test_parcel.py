"""What is packed is put together on the same memory, shared as it was, and evaluates to the same digits."""

import copy
import pickle
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.data import Dataset
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.evaluation.shared_weights import SharedWeights
from nas.executors.parcel import pack, unpack
from nas.supernet import Supernet
from search_spaces import SearchSpace
from search_spaces.plan_index import Population


class Holding(Evaluator):
    """Holds anything."""

    metrics = ()
    batch_size = 1

    def __init__(self, held: Any) -> None:
        self.held = held

    def evaluate(self, population: Population) -> Metrics:
        return {}


def through(held: Any) -> Any:
    found = unpack(pack(Holding(held)))
    assert isinstance(found, Holding)
    return found.held


def test_tensors_of_any_layout_and_type_arrive() -> None:
    torch.manual_seed(0)
    tensors = [
        torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        torch.randn(6, 4).T[1:, ::2],
        torch.randn(7).bfloat16(),
        torch.arange(5),
        torch.tensor(True),
        torch.empty(0, 3),
        torch.tensor(2.5),
    ]
    for tensor, found in zip(tensors, through(tensors), strict=True):
        assert found.dtype == tensor.dtype
        assert found.stride() == tensor.stride()
        assert torch.equal(found, tensor)


def test_what_shares_memory_still_does_and_the_memory_is_that_of_the_parcel() -> None:
    whole = torch.zeros(1000, 1000)
    held = {"whole": whole, "part": whole[10:20], "parameter": nn.Parameter(whole[5])}
    parcel = pack(Holding(held))
    assert len(parcel.storages) == 1
    assert len(parcel.pickled) < 5000
    assert np.shares_memory(parcel.storages[0], whole.numpy()), "packing copies nothing"
    found = unpack(parcel)
    assert isinstance(found, Holding)
    whole.fill_(3.0)
    assert all(bool((tensor == 3.0).all()) for tensor in found.held.values())
    assert isinstance(found.held["parameter"], nn.Parameter)
    assert not found.held["parameter"].requires_grad


def test_shared_weights_evaluate_to_the_same_digits_on_memory_that_can_only_be_read(
    tiny: SearchSpace, data: Dataset
) -> None:
    torch.manual_seed(0)
    weights = SharedWeights(Supernet(tiny).eval(), data)
    population = tiny.sample(3, np.random.default_rng(0))
    parcel = pack(weights)
    for storage in parcel.storages:
        storage.flags.writeable = False
    found = unpack(copy.copy(parcel))
    expected, metrics = weights.evaluate(population), found.evaluate(population)
    assert all(np.array_equal(expected[name], metrics[name]) for name in expected)
    assert isinstance(found, SharedWeights)
    assert not found.supernet._gradients, "none of the memory that training takes"
    assert len(parcel.pickled) < len(pickle.dumps(weights)) / 3
