"""A network that has grown computes what it did, and learns with what is new."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import search_spaces
from nas.morphism import enlargements, inherit, morph, possible
from search_spaces import Architecture, Block, InputError, SearchSpace
from search_spaces.plan_index import Population
from tests.search_spaces.small import LARGE

SEEDS = st.integers(0, 2**32 - 1)
TOLERANCE = 1e-5

ROWS = {
    "n_points": 300,
    "n_voxels": (200, 120, 70, 40, 20),
    "n_pairs": (300, 240, 160, 100, 60),
    "n_corners": (600, 700, 800, 900, 1000),
}
SPACES = {
    "mobilenet_v3_32": search_spaces.load("mobilenet_v3_32", resolutions=(16, 24)),
    "ofa_mobilenet_v3": search_spaces.load("ofa_mobilenet_v3", n_classes=10, resolutions=(32,), width=0.25),
    "proxyless_mobilenet": search_spaces.load("proxyless_mobilenet", n_classes=10, resolution=32),
    "fbnet": search_spaces.load("fbnet", n_classes=10, resolution=16),
    "autoformer_32": search_spaces.load("autoformer_32", resolution=16),
    "spvnas_small": search_spaces.load("spvnas_small", **ROWS),
    "pvcnn": search_spaces.load("pvcnn", n_points=100, width=0.25, grid=0.25),
    "pvcnn parts": search_spaces.load("pvcnn", n_points=100, width=0.25, grid=0.25, network="shapenet"),
    "pvcnn clouds": search_spaces.load("pvcnn", n_points=100, width=0.25, grid=0.25, task="classification"),
}

growing_spaces = pytest.mark.parametrize(
    "space",
    [pytest.param(space, marks=[pytest.mark.slow] * (name in LARGE), id=name) for name, space in SPACES.items()],
)


def example(space: SearchSpace, architecture: Architecture, seed: int) -> tuple[Tensor, ...]:
    return space.example(architecture, 4, torch.Generator().manual_seed(seed))


def trained(space: SearchSpace, architecture: Architecture, seed: int) -> nn.Module:
    """Return a network in evaluation mode, whose parameters all differ and whose norms know its activations."""
    torch.manual_seed(seed)
    network = space.build(architecture)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) / 5)
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = None
        network.train()(*example(space, architecture, seed))
    return network.eval()


def grow(space: SearchSpace, row: Population, n_steps: int, rng: np.random.Generator) -> Population:
    """Return the row (1, choices) with up to so many choices at the next larger option."""
    for _ in range(n_steps):
        larger = np.flatnonzero(enlargements(space, row)[0])
        if len(larger):
            row = row.copy()
            row[0, rng.choice(larger)] += 1
    return row


def draw(space: SearchSpace, seed: int, n_steps: int) -> tuple[Architecture, Architecture]:
    """Return a random network and a larger one."""
    rng = np.random.default_rng(seed)
    row = space.sample(1, rng) * (rng.random((1, len(space.choices))) < 0.6)  # mostly of which much is small
    source, target = space.decode(np.concatenate([row, grow(space, row, n_steps, rng)]))
    return source, target


def output(space: SearchSpace, network: nn.Module, architecture: Architecture) -> Tensor:
    with torch.no_grad():
        result: Tensor = network(*example(space, architecture, 7))
    return result


@growing_spaces
@given(seed=SEEDS, n_steps=st.integers(1, 8))
@settings(max_examples=6)
def test_a_grown_network_computes_the_same(space: SearchSpace, seed: int, n_steps: int) -> None:
    source, target = draw(space, seed, n_steps)
    network = trained(space, source, seed)
    grown = morph(space, network, source, target)
    assert not grown.training
    expected = output(space, network, source)
    error = (output(space, grown, target) - expected).abs().max() / max(1.0, expected.abs().max())
    assert error < TOLERANCE
    like = space.build(target).state_dict()
    assert {name: t.shape for name, t in grown.state_dict().items()} == {name: t.shape for name, t in like.items()}


@growing_spaces
@given(seed=SEEDS)
@settings(max_examples=2)
def test_every_new_part_learns_from_the_second_step_on(space: SearchSpace, seed: int) -> None:
    """In the first one, those parts do that lead to where something was."""
    source, target = draw(space, seed, 3)
    grown = morph(space, trained(space, source, seed), source, target).train()
    optimizer = torch.optim.SGD(grown.parameters(), lr=0.01)
    for step in range(2):
        optimizer.zero_grad()
        y = grown(*example(space, target, seed + step))
        torch.nn.functional.cross_entropy(y, torch.arange(len(y)) % y.shape[1]).backward()  # type: ignore[no-untyped-call]
        learning = dict(new_gradients(space, grown, source, target))
        assert not learning or sum(learning.values()) > 0
        optimizer.step()
    assert all(size > 0 for size in learning.values()), learning


def new_gradients(
    space: SearchSpace, network: nn.Module, source: Architecture, target: Architecture
) -> Iterator[tuple[str, float]]:
    """Yield each slot that has grown or is new, and the summed size of its new parameters' gradients."""
    before = space.plan(source)
    for slot, block in space.blocks(target):
        parameters = dict(network.get_submodule(slot).named_parameters())
        unseen = getattr(block, "kernel", 0) // 2 >= getattr(block, "size", 1)  # what is beyond the edge of a map
        if before.get(slot) != block and parameters and not unseen:
            gradients = {path: p.grad.abs() for path, p in parameters.items() if p.grad is not None}
            if slot in before:
                forget_old(before[slot], gradients)
            yield slot, sum(float(gradient.sum()) for gradient in gradients.values())


def forget_old(block: Block, gradients: dict[str, Tensor]) -> None:
    module = block.build()
    for path, parameter in module.named_parameters():
        owner = module.get_submodule(path.rpartition(".")[0])
        block.narrow(gradients[path], path, parameter, owner).zero_()


@pytest.mark.parametrize("name", ["mobilenet_v3_32", "autoformer_32"])
def test_a_network_that_grew_and_was_trained_grows_again(name: str) -> None:
    space = SPACES[name]
    rng = np.random.default_rng(0)
    row = space.encode([space.smallest()])
    network = trained(space, space.smallest(), 0)
    for step in range(4):
        larger = grow(space, row, 3, rng)
        (source, target) = space.decode(np.concatenate([row, larger]))
        expected = output(space, network, source)
        network = morph(space, network, source, target)
        torch.testing.assert_close(output(space, network, target), expected, atol=TOLERANCE, rtol=TOLERANCE)
        optimizer = torch.optim.SGD(network.train().parameters(), lr=0.01)
        network(*example(space, target, step)).square().mean().backward()
        optimizer.step()
        row, network = larger, network.eval()


def test_what_is_grown_from_is_left_alone_and_shares_nothing() -> None:
    space = SPACES["mobilenet_v3_32"]
    source, target = draw(space, 3, 4)
    network = trained(space, source, 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    grown = morph(space, network, source, target)
    with torch.no_grad():
        for parameter in grown.parameters():
            parameter.fill_(3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@growing_spaces
@given(seed=SEEDS)
@settings(max_examples=3)
def test_any_network_inherits_what_it_has_in_common_with_another(space: SearchSpace, seed: int) -> None:
    source, target = space.decode(space.canonical(space.sample(2, np.random.default_rng(seed))))
    network = trained(space, source, seed)
    torch.manual_seed(seed)
    heir = inherit(space, network, source, target)
    assert output(space, heir, target).isfinite().all()
    old, new = network.state_dict(), heir.state_dict()
    before, after = space.plan(source), space.plan(target)
    for slot in before.keys() & after.keys():
        if before[slot] == after[slot]:
            for name in (name for name in new if name.startswith(f"{slot}.")):
                assert torch.equal(new[name], old[name])


def test_a_network_that_grew_and_shrank_again_is_what_it_was() -> None:
    space = SPACES["mobilenet_v3_32"]
    source, target = draw(space, 5, 8)
    network = trained(space, source, 0)
    grown = inherit(space, network, source, target)
    assert torch.equal(output(space, grown, target), output(space, morph(space, network, source, target), target))
    shrunk = inherit(space, grown, target, source)
    assert torch.equal(output(space, shrunk, source), output(space, network, source))


@growing_spaces
def test_what_is_possible_is_what_can_be_done(space: SearchSpace) -> None:
    population = space.sample(12, np.random.default_rng(0))
    steps = np.concatenate([population, [space.neighbours(row)[0] for row in population]])
    sources, targets = (rows.reshape(-1, rows.shape[2]) for rows in np.broadcast_arrays(steps[:, None], steps[None]))
    found = possible(space, sources, targets)
    assert found[:: len(steps) + 1].all(), "a network can become itself"
    chosen = [*np.flatnonzero(found)[:12], *np.flatnonzero(~found)[:12]]
    for i in chosen:
        (source, target) = space.decode([sources[i], targets[i]])
        if found[i]:
            morph(space, space.build(source), source, target)
        else:
            with pytest.raises(InputError) as error:
                morph(space, space.build(source), source, target)
            assert len(str(error.value).splitlines()) == 1


@growing_spaces
def test_enlargements_are_the_single_steps_that_are_possible(space: SearchSpace) -> None:
    population = space.sample(5, np.random.default_rng(1))
    for row, larger in zip(population, enlargements(space, population), strict=True):
        for choice, raised in enumerate(larger):
            step = row.copy()
            step[choice] += 1
            if step[choice] == space.n_options[choice] or space.plan(*space.decode([row])) == space.plan(
                *space.decode([step])
            ):
                assert not raised
            else:
                assert raised == possible(space, row[None], step[None])[0]


def refused(name: str, source: dict[str, object], target: dict[str, object]) -> str:
    space = SPACES[name]
    small = Architecture({**space.smallest(), **source})  # type: ignore[arg-type]
    large = Architecture({**small, **target})  # type: ignore[arg-type]
    with pytest.raises(InputError) as error:
        morph(space, space.build(small), small, large)
    return str(error.value)


def test_what_cannot_grow_is_told_with_the_block_and_the_reason() -> None:
    message = refused("autoformer_32", {}, {"embed": 96})
    assert message == "patches: embed cannot go from 64 to 96 without a change of what PatchEmbedding computes"
    assert "stem: size cannot go from 16 to 24" in refused("mobilenet_v3_32", {}, {"resolution": 24})
    assert "resolution cannot go" in refused("pvcnn", {}, {"resolution_1": 8})
    assert "a morphism leads to larger networks only" in refused("mobilenet_v3_32", {"depth_1": 2}, {"depth_1": 1})
    assert "a morphism leads to larger networks only" in refused(
        "mobilenet_v3_32", {"expand_1_1": 3}, {"expand_1_1": 2}
    )
    assert "no weights make a network ignore it" in refused("pvcnn", {}, {"depth_2": 1})


def test_what_does_not_grow_by_slices_is_left_to_other_means() -> None:
    """Operations of cells differ in kind: nothing of one is a part of another."""
    cells = search_spaces.load("nasbench201", n_classes=4, cells=1, channels=4, resolution=8)
    population = cells.canonical(cells.sample(20, np.random.default_rng(0)))
    assert not enlargements(cells, population).any()
