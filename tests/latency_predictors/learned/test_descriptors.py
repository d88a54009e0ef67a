"""Descriptors are what the kernels of a network's blocks add up to, in each form in which a runtime may run it."""

import numpy as np
import pytest

import search_spaces
from latency_predictors.analytic.counts import count
from latency_predictors.analytic.kernels import FAMILIES, kernels
from latency_predictors.learned.descriptors import NAMES, Descriptors, describe_block
from search_spaces import SearchSpace
from search_spaces.blocks.mobile import ConvNorm, GroupedResidual
from search_spaces.blocks.transformer import Attention


def test_kernels_of_a_grouped_residual() -> None:
    found = kernels(GroupedResidual(8, 16, 16, 5, 1, "relu", 48, 2))
    assert [kernel.family for kernel in found if kernel.macs] == ["grouped", "depthwise", "grouped"]
    depthwise = next(kernel for kernel in found if kernel.family == "depthwise")
    assert depthwise.macs == 8 * 8 * 48 * 25
    assert depthwise.weight_bytes == 48 * 25 * 4
    assert depthwise.moved_bytes == 2 * 8 * 8 * 48 * 4


def test_attention_reads_queries_keys_and_values_though_they_share_a_storage() -> None:
    found = kernels(Attention(grid=4, embed=24, heads=2, head_dim=8, reach=None))
    (attention,) = [kernel for kernel in found if kernel.family == "product" and not kernel.weight_bytes]
    tokens, width = 4 * 4 + 1, 2 * 8
    assert attention.moved_bytes == 4 * (4 * tokens * width + 2 * tokens)  # and the sum of each head's row
    relative = kernels(Attention(grid=4, embed=24, heads=2, head_dim=8, reach=2))
    # the rows and columns of tokens, which `expand` repeats for each head, beside keys and beside values
    assert sum(kernel.weight_bytes == 4 * tokens * 2 * (4 + 1) for kernel in relative) == 2


def test_kernels_compute_what_is_counted(small: SearchSpace) -> None:
    for block in small.index.blocks:
        assert sum(kernel.macs for kernel in kernels(block)) == count(block).macs
        assert {kernel.family for kernel in kernels(block)} <= {*FAMILIES}


def test_multiply_adds_of_blocks_that_shrink_are_told_apart() -> None:
    place = NAMES.index("multiply-adds of shrinking blocks")
    for stride in (1, 2):
        block = GroupedResidual(8, 16, 16, 5, stride, "relu", 48, 1)
        assert describe_block(block)[place] == (count(block).macs if stride == 2 else 0)


def test_norms_and_activations_are_elementwise() -> None:
    assert [kernel.family for kernel in kernels(ConvNorm(8, 3, 4, 3, 1, "relu"))] == [
        "convolution",
        "elementwise",
        "elementwise",
    ]


@pytest.mark.parametrize("form", ["written", "pruned", "folded"])
def test_descriptors_add_up_over_the_plan_of_a_form(form: str) -> None:
    space = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8)
    population = space.sample(20, np.random.default_rng(0))
    found = Descriptors(space)(population, form)
    independent = space.independent
    for row, values in zip(independent.decode(space.forms(population)[form]), found, strict=True):
        ran = [kernel for block in independent.plan(row).values() for kernel in kernels(block)]
        assert values[NAMES.index("convolution kernels")] == sum(k.family == "convolution" for k in ran)
        assert values[NAMES.index("weights")] == sum(k.weight_bytes for k in ran)
        assert values[NAMES.index("blocks")] == len(independent.plan(row))


def test_a_chain_has_one_form(small: SearchSpace) -> None:
    assert Descriptors(small).forms == ("written",)
    assert Descriptors(small)(small.sample(0, np.random.default_rng(0))).shape == (0, len(NAMES))
