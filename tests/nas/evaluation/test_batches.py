"""Batches are the same in every pass, whether they are kept or made anew."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.data import DataOptions, Dataset, load_data
from nas.evaluation.batches import Batches
from search_spaces.points import PointClouds

CPU = torch.device("cpu")


def inputs(batch: Any) -> tuple[Tensor, ...]:
    return (batch.features if isinstance(batch, PointClouds) else batch,)


def with_memory(data: Dataset, memory_gb: float) -> Dataset:
    return dataclasses.replace(data, options=dataclasses.replace(data.options, memory_gb=memory_gb))


@pytest.fixture(scope="module")
def clouds() -> Dataset:
    return load_data(DataOptions("synthetic_scenes", n_scenes=3, tile_metres=20))


@pytest.mark.parametrize("memory_gb", [0, 4])
def test_every_pass_is_the_same(data: Dataset, clouds: Dataset, memory_gb: float) -> None:
    for some in (data, clouds):
        batches = Batches(with_memory(some, memory_gb), some.train)
        passes = [list(batches.prepared(inputs, CPU)) for _ in range(2)]
        assert len(passes[0]) > 0
        for (one, labels), (other, same) in zip(*passes, strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(labels, same)


def test_as_much_is_kept_as_there_is_memory_for(clouds: Dataset) -> None:
    sizes: list[int] = []

    def measured(batch: PointClouds) -> tuple[Tensor, ...]:
        sizes.append(batch.nbytes)
        return inputs(batch)

    list(Batches(clouds, clouds.train).prepared(measured, CPU))
    assert len(sizes) > 2
    for n_kept in (0, 1, len(sizes)):
        batches = Batches(with_memory(clouds, 2e-9 * sum(sizes[:n_kept])), clouds.train)
        first, second = ([x for (x,), _ in batches.prepared(inputs, CPU)] for _ in range(2))
        assert sum(one is other for one, other in zip(first, second, strict=True)) == n_kept


def test_what_a_space_made_of_a_batch_is_made_once(clouds: Dataset) -> None:
    seen: list[PointClouds] = []

    def prepare(batch: PointClouds) -> tuple[Tensor, ...]:
        seen.append(batch)
        return inputs(batch)

    batches = Batches(clouds, clouds.train)
    n = len(list(batches.prepared(prepare, CPU)))
    list(batches.prepared(prepare, CPU))
    assert seen[:n] == seen[n:]


def test_examples_are_drawn_by_no_order_of_files(data: Dataset) -> None:
    drawn = Batches(data, data.train, 10).indices
    assert len(set(drawn.tolist())) == 10
    assert torch.equal(drawn, Batches(data, data.train, 10).indices)
    assert not torch.equal(drawn, torch.arange(10))
    assert sorted(Batches(data, data.train).indices.tolist()) == list(range(len(data.train)))
