"""Accelerators obey their model, and are searched together with networks by strategies that know nothing of them."""

import itertools
from typing import Any

import numpy as np
import pytest

import search_spaces
from latency_predictors.analytic.accelerator import Accelerator, Technology
from latency_predictors.analytic.codesign import CodesignSpace, codesign_costs
from latency_predictors.analytic.kernels import kernels
from latency_predictors.cost_model import CostModel
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.blocks.mobile import ConvNorm


@pytest.fixture(scope="module")
def space(small: SearchSpace) -> CodesignSpace:
    return CodesignSpace(small, array_rows=(8, 32), array_columns=(8, 32), buffer_kib=(16, 256), bandwidth_gb=(1, 8))


@pytest.fixture(scope="module")
def costs(space: CodesignSpace) -> dict[str, CostModel]:
    return {**codesign_costs(space)}


def accelerator(rows: int = 16, columns: int = 16, buffer: int = 256, bandwidth: int = 8) -> Accelerator:
    return Accelerator(*(np.array(float(x)) for x in (rows, columns, buffer, bandwidth)), Technology())


@pytest.mark.parametrize("name", ["mobilenet_v3_32", "autoformer_32", "regnet"])
def test_products_are_all_multiply_adds(name: str) -> None:
    blocks = search_spaces.load(name).index.blocks
    for kernel in itertools.chain(*map(kernels, blocks[:: max(1, len(blocks) // 20)])):
        assert sum(product.macs for product in kernel.products) == kernel.macs


def test_a_product_takes_the_cycles_of_its_folds(small: SearchSpace) -> None:
    block = next(b for b in small.index.blocks if isinstance(b, ConvNorm))
    (convolution,) = [kernel for kernel in kernels(block) if kernel.products]
    (product,) = convolution.products
    device = accelerator(bandwidth=10**9)
    folds = -(-product.rows // 16) * -(-product.columns // 16)
    cycles = folds * (2 * 16 + 16 + product.depth - 2)
    assert device.latency_ms(block) == pytest.approx(cycles / 0.7e9 * 1e3, rel=1e-6)


def test_more_of_anything_but_the_array_is_never_slower(small: SearchSpace) -> None:
    for block in small.index.blocks[::5]:
        slow = accelerator(buffer=16, bandwidth=1).latency_ms(block)
        assert accelerator(buffer=64, bandwidth=1).latency_ms(block) <= slow
        assert accelerator(buffer=16, bandwidth=4).latency_ms(block) <= slow
        assert accelerator(buffer=16, bandwidth=1).energy_mj(block) > 0


def test_area_and_power_are_those_of_the_parts() -> None:
    device = accelerator(rows=256, columns=256, buffer=24 * 1024, bandwidth=34)
    assert device.area_mm2() == pytest.approx(79 + 96 + 10, rel=0.02)  # the first TPU: 24, 29 and some per cent of 331
    assert accelerator(rows=32).area_mm2() > accelerator().area_mm2()
    assert accelerator(rows=32).peak_watts() > accelerator().peak_watts()


def test_a_population_costs_what_its_plans_cost(space: CodesignSpace, costs: dict[str, CostModel]) -> None:
    population = space.sample(20, np.random.default_rng(0))
    for metric in ("latency_ms", "energy_mj"):
        expected = []
        for row in space.decode(population):
            device = accelerator(*(int(row[n]) for n in ("array_rows", "array_columns", "buffer_kib", "bandwidth_gb")))
            expected.append(sum(float(getattr(device, metric)(block)) for block in space.plan(row).values()))
        np.testing.assert_allclose(costs[metric].predict(population), expected)


def test_extremes_are_those_of_the_whole_space(toy_codesign: CodesignSpace) -> None:
    options = [range(n) for n in toy_codesign.n_options]
    everything = toy_codesign.canonical(np.array(list(itertools.product(*options))))
    for model in codesign_costs(toy_codesign).values():
        predicted = model.predict(everything)
        for (cost, architecture), expected in ((model.cheapest(), predicted.min()), (model.dearest(), predicted.max())):
            assert cost == pytest.approx(expected)
            assert model.predict(toy_codesign.encode([architecture]))[0] == pytest.approx(cost)


@pytest.fixture(scope="module")
def toy_codesign() -> CodesignSpace:
    network = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8)
    return CodesignSpace(network, array_rows=(4, 8), array_columns=(8,), buffer_kib=(8, 64), bandwidth_gb=(1,))


def test_accelerators_are_told_apart_and_networks_are_not(space: CodesignSpace) -> None:
    rows = np.repeat(space.encode([space.smallest()]), 2, axis=0)
    rows[1, -1] = 1
    assert len(np.unique(space.canonical(rows), axis=0)) == 2
    assert space.size == space.network.size * 16
    architecture = Architecture(space.decode(rows)[1])
    assert repr(space.build(architecture)) == repr(space.network.build(space.network.smallest()))
    assert space.id != CodesignSpace(space.network).id


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"array_rows": (0, 8)}, r"array_rows \(0, 8\): expected one positive number or more"),
        ({"array_columns": (-8, 8)}, r"array_columns \(-8, 8\): expected"),
        ({"bandwidth_gb": (0, 1)}, r"bandwidth_gb \(0, 1\): expected"),
        ({"buffer_kib": (float("nan"),)}, r"buffer_kib \(nan,\): expected"),
        ({"buffer_kib": ()}, r"buffer_kib \(\): expected"),
    ],
)
def test_accelerators_that_cannot_be_are_refused(small: SearchSpace, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CodesignSpace(small, **options)


def test_networks_are_described_as_in_their_own_space(space: CodesignSpace) -> None:
    graphs = CodesignSpace(search_spaces.load("nasbench201", cells=1, channels=4, resolution=8, dead_edges="keep"))
    for together in (space, graphs):
        alone = together.network
        population = together.sample(20, np.random.default_rng(0))
        networks, accelerators = together.split(population)
        assert np.array_equal(together.features(population), alone.features(networks))
        assert np.array_equal(together.sequences(population), alone.sequences(networks))
        assert together.is_chain == alone.is_chain
        active, first = together.split(together.active(population))
        assert np.array_equal(active, alone.active(networks))
        assert accelerators.any()
        assert not first.any(), "an accelerator changes nothing of a network's function"
    assert graphs.sequences(population).shape[1] > 0
