"""Counts per block add up to what a run of the whole network shows."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from latency_predictors.analytic.counts import Counts, count, count_models, count_module
from search_spaces import SearchSpace
from tests.search_spaces.small import all_but_slow
from tests.search_spaces.small import small as small_space

_BYTES_A_NUMBER = 4


every_space = pytest.mark.parametrize("name", all_but_slow())


@every_space
def test_multiply_adds_and_parameters_are_those_of_the_whole_network(name: str) -> None:
    space = small_space(name)
    models = count_models(space)
    population = space.sample(3, np.random.default_rng(0))
    for row, architecture in zip(population, space.decode(population), strict=True):
        with torch.device("meta"):
            network = space.build(architecture).eval()
            inputs = [torch.empty(spec.sizes(1), dtype=spec.torch_dtype) for spec in space.inputs(architecture)]
        with FlopCounterMode(display=False) as counter:
            network(*inputs)
        assert 2 * models["macs"].predict(row[None])[0] == counter.get_total_flops()
        assert models["n_parameters"].predict(row[None])[0] == sum(p.numel() for p in network.parameters())


@every_space
def test_a_real_run_needs_the_memory_of_its_largest_block(name: str) -> None:
    """A run may hold the network's input throughout, a block alone does not know of it.

    A space that wires its blocks otherwise than in a chain may hold more tensors besides.
    """
    space = small_space(name)
    model = count_models(space)["peak_activation_bytes"]
    population = np.concatenate(
        [space.encode([space.smallest(), space.largest()]), space.sample(1, np.random.default_rng(1))]
    )
    for architecture, planned in zip(space.decode(population), model.predict(population), strict=True):
        inputs = space.example(architecture, 1, torch.Generator())
        peak = count_module(space.build(architecture), *inputs).peak_activation_bytes
        assert planned <= peak
        if space.is_chain:
            assert peak <= planned + sum(x.nbytes for x in inputs)


class _Attention(nn.Module):
    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(query, key, value)


def test_attention_counts_by_whatever_kernel() -> None:
    """Scores and weighted values: a product each for every pair of a query and a key."""
    query, key, value = (torch.randn(2, 3, n, 8) for n in (5, 7, 7))
    macs = 2 * (2 * 3 * 5 * 7 * 8)
    assert count_module(_Attention(), query, key, value).macs == macs
    assert count_module(_Attention(), *(x.to("meta") for x in (query, key, value))).macs == macs


def test_peak_of_a_chain() -> None:
    """The input stays throughout, a layer's input as long as the layer runs."""
    chain = nn.Sequential(nn.Linear(100, 50), nn.Linear(50, 200), nn.Linear(200, 10))
    found = count_module(chain, torch.randn(1, 100))
    n_parameters = sum(p.numel() for p in chain.parameters())
    assert found == Counts(100 * 50 + 50 * 200 + 200 * 10, n_parameters, (100 + 50 + 200) * _BYTES_A_NUMBER)


class _Shortcut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(10, 40), nn.ReLU(), nn.Linear(40, 10))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def test_peak_of_a_shortcut_beside_what_works_in_place() -> None:
    """A shortcut keeps its input; an operation in place needs nothing."""
    network = nn.Sequential(nn.Linear(5, 10), _Shortcut())
    x = torch.randn(1, 5)
    assert count_module(network, x).peak_activation_bytes == (5 + 10 + 40 + 40) * _BYTES_A_NUMBER
    network[1].layers[1] = nn.ReLU(inplace=True)  # type: ignore[union-attr, operator]
    assert count_module(network, x).peak_activation_bytes == (5 + 10 + 40 + 10) * _BYTES_A_NUMBER


def test_a_block_is_counted_as_it_really_runs(small: SearchSpace) -> None:
    state = torch.get_rng_state()
    counts = {block: count(block) for block in small.index.blocks}
    assert torch.equal(torch.get_rng_state(), state), "counting draws no random numbers"
    for block, expected in counts.items():
        assert count_module(block.build(), *block.example(1, torch.Generator())) == expected
