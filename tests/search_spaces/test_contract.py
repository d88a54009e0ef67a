"""What every search space keeps: a new file in search_spaces/spaces/ is tested here as it is."""

import dataclasses
import json
import pickle
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import search_spaces
from nas.supernet import Supernet
from search_spaces import Architecture, Block, InputError, SearchSpace
from search_spaces.onnx import parity, to_onnx
from search_spaces.plan_index import Population
from tests.search_spaces.small import LARGE, all_but_slow, small

SEEDS = st.integers(0, 2**32 - 1)


LONG_TO_EXPORT = {*LARGE, "autoformer_32", "efficientnet", "fbnet", "spvnas_small"}


@pytest.fixture(scope="module")
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return small(request.param)


every_space = pytest.mark.parametrize("space", search_spaces.names(), indirect=True)
every_space_slowly = pytest.mark.parametrize("space", all_but_slow(), indirect=True)


@cache
def supernet(space: SearchSpace) -> Supernet:
    torch.manual_seed(0)
    network = Supernet(space)
    for architecture in sampled(space, 8):  # between them, some of every slot's norms
        settle(network.train().network(architecture), example(space, architecture, 8))
    return network.eval()


def settle(network: nn.Module, x: tuple[Tensor, ...]) -> None:
    """Give batch normalisation the statistics of x, and so outputs of order one, as a trained network has."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain average over batches
    with torch.no_grad():
        network.train()(*x)
    network.eval()


def example(space: SearchSpace, architecture: Mapping[str, Any], batch_size: int = 2) -> tuple[Tensor, ...]:
    return space.example(architecture, batch_size, torch.Generator().manual_seed(1))


def on_meta_device(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tensor.to("meta") for tensor in tensors)


def sampled(space: SearchSpace, n: int, seed: int = 0) -> list[Architecture]:
    """Return the extremes and n random architectures."""
    population = space.sample(n, np.random.default_rng(seed))
    return [space.smallest(), space.largest(), *space.decode(population)]


def tensors(module: nn.Module) -> Iterator[tuple[str, str, nn.Module, Tensor]]:
    """Yield each tensor's path, its name, the module that holds it, itself."""
    for path, tensor in (*module.named_parameters(), *module.named_buffers()):
        owner, _, name = path.rpartition(".")
        yield path, name, module.get_submodule(owner), tensor


def on_meta(block: Block) -> nn.Module:
    with torch.device("meta"):
        return block.build()


@every_space_slowly
def test_planned_shapes_are_those_of_the_modules(space: SearchSpace) -> None:
    for block in {block for architecture in sampled(space, 10) for block in space.plan(architecture).values()}:
        inputs = block.example(2, torch.Generator())
        assert [(x.shape, x.dtype) for x in inputs] == [(spec.sizes(2), spec.torch_dtype) for spec in block.inputs]
        assert on_meta(block)(*on_meta_device(inputs)).shape == block.output.sizes(2), block


@every_space_slowly
def test_every_network_classifies(space: SearchSpace) -> None:
    for architecture in sampled(space, 4):
        inputs = example(space, architecture)
        assert [x.shape for x in inputs] == [spec.sizes(2) for spec in space.inputs(architecture)]
        with torch.device("meta"):
            output = space.build(architecture)(*on_meta_device(inputs))
        assert output.shape == (len(inputs[0]), space.n_classes)  # type: ignore[attr-defined]  # every space has it


@every_space
def test_a_network_on_real_memory_is_built_and_runs(space: SearchSpace) -> None:
    for architecture in (space.smallest(), space.largest()):
        network = space.build(architecture).eval()
        assert network(*example(space, architecture)).isfinite().all()


@every_space
def test_blocks_are_plain_records_in_slots_of_their_own(space: SearchSpace) -> None:
    blocks = list(space.blocks(space.largest()))
    assert len(dict(blocks)) == len(blocks)
    for slot, block in blocks:
        assert "." not in slot
        assert pickle.loads(pickle.dumps(block)) == block
        assert hash(dataclasses.replace(block)) == hash(block)


@every_space_slowly
def test_the_store_covers_every_network(space: SearchSpace) -> None:
    large = {slot: on_meta(block) for slot, block in space.store_plan.items()}
    for slot, block in {item for architecture in sampled(space, 50) for item in space.blocks(architecture)}:
        held = {path: tensor for path, _, _, tensor in tensors(large[slot])}
        for path, _, owner, tensor in tensors(on_meta(block)):
            part = block.narrow(held[path], path, tensor, owner)
            assert part.shape == tensor.shape, (slot, block, path)
            assert part.dtype == tensor.dtype


@every_space
def test_the_index_knows_the_plans(space: SearchSpace) -> None:
    index, population = space.index, space.sample(50, np.random.default_rng(3))
    for architecture, ids in zip(space.decode(population), index.block_ids(population), strict=True):
        found = {slot: index.blocks[i] for slot, i in zip(index.slots, ids, strict=True) if i >= 0}
        assert found == space.plan(architecture)


@every_space
def test_a_shallower_space_has_the_same_choices(space: SearchSpace) -> None:
    for share in (0.1, 0.5, 1.0):
        shallow = space.shallower(share)
        assert shallow.choices == space.choices
        assert set(shallow.store_plan) <= set(space.store_plan)
    assert shallow == space
    assert space.skip is None or any(space.skip in choice.options for choice in space.choices)


@every_space
def test_encode_is_the_inverse_of_decode(space: SearchSpace) -> None:
    population = space.sample(20, np.random.default_rng(0))
    architectures = space.decode(population)
    assert np.array_equal(space.encode(architectures), population)
    assert space.decode(space.encode(architectures)) == architectures
    assert space.encode([]).shape == (0, len(space.choices))


@every_space
def test_encode_refuses_what_is_no_architecture(space: SearchSpace) -> None:
    whole = dict(space.largest())
    name = next(iter(whole))
    with pytest.raises(InputError, match="unknown choice"):
        space.encode([whole | {f"{name}_": 1}])
    with pytest.raises(InputError, match=f"unknown option of {name} 'no such'"):
        space.encode([whole | {name: "no such"}])
    del whole[name]
    with pytest.raises(InputError, match=f"lacks choice '{name}'"):
        space.encode([whole])


def plans(space: SearchSpace, population: Population) -> list[tuple[tuple[str, Block], ...]]:
    return [tuple(space.blocks(architecture)) for architecture in space.decode(population)]


def idle(space: SearchSpace, row: Population) -> NDArray[np.bool_]:
    """Return (choices,): whether the plan of one row (choices,) is the same with any other option."""

    def alternatives(choice: int) -> Population:
        rows = row[None].repeat(space.n_options[choice], axis=0)
        rows[:, choice] = np.arange(len(rows))
        return rows

    return np.array([len(set(plans(space, alternatives(choice)))) == 1 for choice in range(len(row))])


@every_space_slowly
@settings(max_examples=10)
@given(seed=SEEDS)
def test_equal_plans_are_equal_canonical_rows(space: SearchSpace, seed: int) -> None:
    """Compares an architecture with many near it, and with some that differ in what does not matter alone."""
    rng = np.random.default_rng(seed)
    origin = space.sample(1, rng)
    near = space.mutate(origin.repeat(20, axis=0), 0.05, rng)
    same = np.where(idle(space, origin[0]), space.sample(20, rng), origin)
    population = np.concatenate([origin, near, same])
    canonical = space.canonical(population)
    assert np.array_equal(space.canonical(canonical), canonical)
    assert plans(space, canonical) == plans(space, population)
    rows = [tuple(row) for row in canonical]
    pairs = set(zip(rows, plans(space, population), strict=True))
    assert len(pairs) == len({row for row, _ in pairs}) == len({plan for _, plan in pairs})


@every_space
@settings(max_examples=20)
@given(seed=SEEDS, n=st.integers(0, 20), probability=st.floats(0, 1))
def test_operators_stay_in_the_space_and_follow_their_seed(
    space: SearchSpace, seed: int, n: int, probability: float
) -> None:
    def generation() -> list[Population]:
        rng = np.random.default_rng(seed)
        mothers, fathers = space.sample(n, rng), space.sample(n, rng)
        return [mothers, space.mutate(mothers, probability, rng), space.crossover(mothers, fathers, rng)]

    for population, again in zip(generation(), generation(), strict=True):
        assert population.shape == (n, len(space.choices))
        assert np.issubdtype(population.dtype, np.integer)
        assert ((population >= 0) & (population < space.n_options)).all()
        assert np.array_equal(population, again)


@every_space
@settings(max_examples=20)
@given(seed=SEEDS)
def test_operators_change_what_they_say(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mothers, fathers = space.sample(5, rng), space.sample(5, rng)
    before = mothers.copy(), fathers.copy()
    assert np.array_equal(space.mutate(mothers, 0, rng), mothers)
    assert not np.array_equal(space.mutate(mothers, 1, rng), mothers)
    child = space.crossover(mothers, fathers, rng)
    assert ((child == mothers) | (child == fathers)).all()
    assert np.array_equal(space.crossover(mothers, mothers, rng), mothers)
    assert np.array_equal(before, (mothers, fathers)), "the parents are left as they were"


@every_space
def test_json_gives_an_equal_space(space: SearchSpace) -> None:
    again = search_spaces.from_json(json.loads(json.dumps(space.to_json())))
    assert (again, again.id, again.choices) == (space, space.id, space.choices)


@every_space
def test_a_space_that_was_used_is_pickled(space: SearchSpace) -> None:
    again = pickle.loads(pickle.dumps((space, space.size)[0]))
    assert (again, again.size) == (space, space.size)


@every_space
def test_options_that_a_space_lacks_are_refused(space: SearchSpace) -> None:
    with pytest.raises(InputError, match=f"space {space.name}.*no_such_option"):
        search_spaces.load(space.name, no_such_option=1)


@every_space
def test_architectures_are_immutable_and_known_by_their_options(space: SearchSpace) -> None:
    first, *others = sampled(space, 20)
    again = Architecture(dict(reversed([*first.items()])))
    assert (again, hash(again), again.id) == (first, hash(first), first.id)
    assert Architecture(json.loads(json.dumps(dict(first)))).id == first.id
    assert len({first, again}) == 1
    assert len({first, *others}) == len({architecture.id for architecture in (first, *others)})
    assert pickle.loads(pickle.dumps(first)) == first
    with pytest.raises(TypeError):
        first[next(iter(first))] = 0  # type: ignore[index]


@every_space_slowly
def test_the_extracted_network_computes_what_the_supernet_does(space: SearchSpace) -> None:
    """Bit for bit: convolution copies a strided slice to what the extracted network holds, and the rest is equal."""
    for architecture in sampled(space, 2):
        x = example(space, architecture)
        with torch.no_grad():
            assert torch.equal(supernet(space).extract(architecture)(*x), supernet(space)(x, architecture))


@pytest.mark.parametrize("space", all_but_slow(LONG_TO_EXPORT), indirect=True)
def test_onnxruntime_computes_what_the_extracted_network_does(space: SearchSpace) -> None:
    architecture = sampled(space, 1)[-1]
    network = supernet(space).extract(architecture)
    x = example(space, architecture, 64)
    settle(network, x)
    examples = [example(space, architecture, batch_size) for batch_size in (2, 3, 1)]
    (model,) = to_onnx([network], [space.inputs(architecture)], examples[:1])
    difference, spread = parity(model, network, examples), network(*x).std()
    print(f"onnxruntime differs by {difference:.1e}, where outputs spread over {spread:.1e}")
    assert difference <= min(1e-4, 1e-3 * spread)


def test_an_unknown_space_is_told_with_the_nearest() -> None:
    name = search_spaces.names()[0]
    with pytest.raises(InputError, match=f"unknown space '{name}s': did you mean {name}"):
        search_spaces.load(f"{name}s")
