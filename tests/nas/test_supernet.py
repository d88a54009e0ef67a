"""A subnet on shared weights computes, trains and keeps statistics as a static network of its size does."""

import copy
import io
import pickle
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import search_spaces
from nas.supernet import Supernet
from search_spaces import Architecture, SearchSpace

SPACE = search_spaces.load("mobilenet_v3_32", n_classes=5, resolutions=(16, 24))
CELLS = search_spaces.load("nasbench201", n_classes=5, cells=1, channels=4, resolution=8)
TOLERANCE = 1e-6


def architectures(n: int, seed: int = 0) -> list[Architecture]:
    return SPACE.decode(SPACE.sample(n, np.random.default_rng(seed)))


SMALLEST, LARGEST = SPACE.smallest(), SPACE.largest()
SAMPLED = architectures(3)


@pytest.fixture
def supernet() -> Supernet:
    torch.manual_seed(0)
    return Supernet(SPACE)


def batch(architecture: Architecture, seed: int = 1, space: SearchSpace = SPACE) -> tuple[Tensor, Tensor]:
    """Return images (4, C, H, W) and labels (4,)."""
    generator = torch.Generator().manual_seed(seed)
    (images,) = space.example(architecture, 4, generator)
    return images, torch.randint(5, (4,), generator=generator)


def backward(network: nn.Module, architecture: Architecture, seed: int = 1, space: SearchSpace = SPACE) -> Tensor:
    """Compute a loss and its gradients, dropping out the same values in any network of the architecture."""
    images, labels = batch(architecture, seed, space)
    torch.manual_seed(seed)
    loss = nn.functional.cross_entropy(network(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def slices(architecture: Architecture, tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield an architecture's part of tensors of the store, by their names in its network."""
    for slot, block in SPACE.blocks(architecture):
        with torch.device("meta"):
            module = block.build()
        for path, like in module.state_dict(keep_vars=True).items():
            name = f"{slot}.{path}"
            if name in tensors:
                owner = module.get_submodule(path.rpartition(".")[0])
                yield name, block.narrow(tensors[name], path, like, owner)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)


def assert_gradients_are(supernet: Supernet, expected: dict[Architecture, dict[str, Tensor]]) -> None:
    """Check that the store's gradients are the sum of static networks', zero where none has a part."""
    total = {name: torch.zeros_like(p) for name, p in supernet.store.named_parameters()}
    for architecture, static in expected.items():
        for name, part in slices(architecture, total):
            part += static[name]
    names = {name for static in expected.values() for name in static}
    assert gradients(supernet.store).keys() == names
    assert_close(gradients(supernet.store), {name: total[name] for name in names})


@pytest.mark.parametrize("architecture", [SMALLEST, LARGEST, *SAMPLED], ids=lambda a: a.id)
def test_gradients_land_on_the_slice_alone(supernet: Supernet, architecture: Architecture) -> None:
    static = supernet.extract(architecture)
    assert backward(static, architecture) == backward(supernet.network(architecture), architecture)
    assert_gradients_are(supernet, {architecture: gradients(static)})


def test_gradients_of_several_architectures_add_up(supernet: Supernet) -> None:
    expected = {}
    for architecture in (LARGEST, SMALLEST, *SAMPLED):
        static = supernet.extract(architecture)
        backward(static, architecture)
        expected[architecture] = gradients(static)
    for architecture in expected:
        backward(supernet.network(architecture), architecture)
    assert_gradients_are(supernet, expected)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_cleared_gradients_leave_nothing_behind(supernet: Supernet, set_to_none: bool) -> None:
    for architecture in (LARGEST, SMALLEST, *SAMPLED, SMALLEST):
        supernet.zero_grad(set_to_none=set_to_none)
        static = supernet.extract(architecture)
        backward(static, architecture)
        backward(supernet.network(architecture), architecture)
        for name, parameter in supernet.store.named_parameters():  # what another network used may be there, but zero
            if parameter.grad is not None and name not in gradients(static):
                assert not parameter.grad.any()
                parameter.grad = None
        assert_gradients_are(supernet, {architecture: gradients(static)})


def test_cleared_gradients_are_none_until_a_network_has_a_part(supernet: Supernet) -> None:
    backward(supernet.network(LARGEST), LARGEST)
    supernet.zero_grad()
    assert gradients(supernet) == {}
    backward(supernet.network(SMALLEST), SMALLEST)
    used = {f"store.{name}" for name, _ in slices(SMALLEST, dict(supernet.store.named_parameters()))}
    assert gradients(supernet).keys() == used
    assert len(used) < len(list(supernet.parameters()))


@pytest.mark.parametrize("set_to_none", [True, False])
def test_gradients_may_be_cleared_between_forward_and_backward(supernet: Supernet, set_to_none: bool) -> None:
    before, architecture = SAMPLED[:2]
    static = supernet.extract(architecture)
    backward(static, architecture)
    backward(supernet.network(before), before)
    network = supernet.network(architecture)
    images, labels = batch(architecture)
    torch.manual_seed(1)
    loss = nn.functional.cross_entropy(network(images), labels)
    supernet.zero_grad(set_to_none=set_to_none)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, part in slices(architecture, gradients(supernet.store)):
        torch.testing.assert_close(part, gradients(static)[name], atol=TOLERANCE, rtol=TOLERANCE)


def test_gradients_from_elsewhere_are_added_to(supernet: Supernet) -> None:
    architecture = SAMPLED[0]
    static = supernet.extract(architecture)
    backward(static, architecture)
    for parameter in supernet.parameters():
        parameter.grad = torch.ones_like(parameter)
    backward(supernet.network(architecture), architecture)
    for name, part in slices(architecture, gradients(supernet.store)):
        torch.testing.assert_close(part, 1 + gradients(static)[name], atol=TOLERANCE, rtol=TOLERANCE)


def test_a_network_may_be_held_for_many_steps(supernet: Supernet) -> None:
    architecture = SAMPLED[0]
    held, anew = supernet, copy.deepcopy(supernet)
    network = held.network(architecture)
    for model, subnet in ((held, lambda: network), (anew, lambda: anew.network(architecture))):
        train(model, subnet, architecture)
    assert_close(held.state_dict(), anew.state_dict())


def train(model: nn.Module, network: Callable[[], nn.Module], architecture: Architecture) -> None:
    """Take five steps on the network, with an optimiser of the model's parameters."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step in range(5):
        backward(network(), architecture, seed=step)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_steps_on_one_architecture_are_those_of_its_static_network(
    supernet: Supernet, memory_format: torch.memory_format
) -> None:
    architecture = SAMPLED[0]
    supernet.to(memory_format=memory_format)  # type: ignore[call-overload]
    static = supernet.extract(architecture)
    train(supernet, lambda: supernet.network(architecture), architecture)
    train(static, lambda: static, architecture)
    assert_close(shared_state(supernet, architecture), static.state_dict())


def shared_state(supernet: Supernet, architecture: Architecture) -> dict[str, Tensor]:
    return dict(slices(architecture, supernet.store.state_dict()))


def test_statistics_of_the_slice_alone_are_updated(supernet: Supernet) -> None:
    architecture = SAMPLED[0]
    static = supernet.extract(architecture)
    before = {name: buffer.clone() for name, buffer in supernet.store.named_buffers()}
    images, _ = batch(architecture)
    for network in (static, supernet.network(architecture)):
        with torch.no_grad():
            network(images)
    after = dict(supernet.store.named_buffers())
    assert_close(shared_state(supernet, architecture), static.state_dict())
    for name, part in slices(architecture, after):
        part.copy_(dict(slices(architecture, before))[name])
    assert_close(after, before)


def test_evaluation_leaves_statistics_and_gradients_alone(supernet: Supernet) -> None:
    before = copy.deepcopy(supernet.state_dict())
    with torch.no_grad():
        supernet.eval()(batch(SMALLEST)[0], SMALLEST)
    assert_close(supernet.state_dict(), before)
    supernet.train().extract(SMALLEST)
    assert gradients(supernet) == {}


def test_networks_are_in_the_mode_of_the_supernet(supernet: Supernet) -> None:
    for mode in (True, False, True):
        supernet.train(mode)
        for network in (supernet.network(SMALLEST), supernet.extract(SMALLEST)):
            assert {module.training for module in network.modules()} == {mode}


def test_an_extracted_network_is_a_copy(supernet: Supernet) -> None:
    before = copy.deepcopy(supernet.state_dict())
    network = supernet.extract(LARGEST)
    backward(network, LARGEST)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.fill_(7)
    assert_close(supernet.state_dict(), before)
    assert gradients(supernet) == {}
    assert {tensor.untyped_storage().nbytes() for tensor in supernet.extract(SMALLEST).state_dict().values()} == {
        tensor.nbytes for tensor in supernet.extract(SMALLEST).state_dict().values()
    }, "a saved subnet is as small as it is"


def test_extraction_takes_nothing_from_the_random_stream(supernet: Supernet) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    supernet.extract(SMALLEST)
    supernet.network(SMALLEST)
    assert torch.equal(torch.rand(1), expected)


def test_views_first_asked_for_in_inference_serve_training(supernet: Supernet) -> None:
    with torch.inference_mode():
        supernet.eval()(batch(SMALLEST)[0], SMALLEST)
    backward(supernet.train().network(SMALLEST), SMALLEST)
    assert gradients(supernet)


def through_pickle(supernet: Supernet) -> Supernet:
    again: Supernet = pickle.loads(pickle.dumps(supernet))
    return again


def through_a_file(supernet: Supernet, *, assign: bool) -> Supernet:
    file = io.BytesIO()
    torch.save(supernet.state_dict(), file)
    file.seek(0)
    again = Supernet(SPACE)
    again.network(SMALLEST)
    again.load_state_dict(torch.load(file), assign=assign)
    return again


@pytest.mark.parametrize(
    "pass_through",
    [
        copy.deepcopy,
        through_pickle,
        lambda supernet: through_a_file(supernet, assign=False),
        lambda supernet: through_a_file(supernet, assign=True),
        lambda supernet: supernet.double().float(),
        lambda supernet: supernet.to(memory_format=torch.channels_last),
        lambda supernet: nn.Sequential(supernet).double().float()[0],
    ],
    ids=["deepcopy", "pickle", "load", "load and assign", "convert and back", "channels last", "convert the owner"],
)
def test_views_follow_the_store(supernet: Supernet, pass_through: Callable[[Supernet], Supernet]) -> None:
    for architecture in (SMALLEST, SAMPLED[0]):  # views and gradients that must not survive
        backward(supernet.network(architecture), architecture)
    supernet.zero_grad()
    assert SPACE.size, "a space that was counted holds its index"
    moved = pass_through(supernet)
    static = moved.extract(SMALLEST)
    assert backward(static, SMALLEST) == backward(moved.network(SMALLEST), SMALLEST)
    assert_gradients_are(moved, {SMALLEST: gradients(static)})
    torch.optim.SGD(moved.parameters(), lr=0.1).step()
    torch.optim.SGD(static.parameters(), lr=0.1).step()
    assert_close(shared_state(moved, SMALLEST), static.state_dict())


def test_a_copy_shares_nothing(supernet: Supernet) -> None:
    backward(supernet.network(SMALLEST), SMALLEST)
    twin, before = copy.deepcopy(supernet), gradients(supernet)
    backward(twin.network(SMALLEST), SMALLEST)
    assert_close(gradients(twin), before)
    assert_close(gradients(supernet), before)


def test_precision_and_layout_are_those_of_the_store(supernet: Supernet) -> None:
    supernet.double()
    for network in (supernet.network(SMALLEST), supernet.extract(SMALLEST)):
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}
    assert supernet.eval()(batch(SMALLEST)[0].double(), SMALLEST).dtype == torch.float64


def test_the_store_holds_every_operation_of_every_edge() -> None:
    supernet = Supernet(CELLS)
    assert set(dict(supernet.store.named_children())) == set(CELLS.index.slots)
    convolutions = {slot for slot in CELLS.index.slots if "_edge_" in slot and "_nor_conv_" in slot}
    assert len(convolutions) == 3 * 6 * 2
    assert not convolutions <= CELLS.plan(CELLS.largest()).keys()


def test_operations_in_slots_of_their_own_train_apart() -> None:
    torch.manual_seed(0)
    supernet = Supernet(CELLS)
    for architecture in CELLS.decode(CELLS.sample(5, np.random.default_rng(0))):
        supernet.zero_grad()
        static = supernet.extract(architecture)
        assert backward(static, architecture, space=CELLS) == backward(
            supernet.network(architecture), architecture, space=CELLS
        )
        assert_close(gradients(supernet.store), gradients(static))
        assert {name.split(".")[0] for name in gradients(supernet.store)} <= CELLS.plan(architecture).keys()


def test_an_operation_is_shared_by_all_cells_that_have_it_on_an_edge() -> None:
    supernet = Supernet(CELLS)
    one, other = (
        CELLS.from_string(f"|nor_conv_3x3~0|+|{operation}~0|none~1|+|none~0|skip_connect~1|skip_connect~2|")  # type: ignore[attr-defined]
        for operation in ("nor_conv_1x1", "avg_pool_3x3")
    )
    networks = [dict(supernet.network(architecture).named_children()) for architecture in (one, other)]
    assert all(
        network["cell1_edge_0_1_nor_conv_3x3"] is networks[0]["cell1_edge_0_1_nor_conv_3x3"] for network in networks
    )
    assert networks[0].keys() ^ networks[1].keys() == {
        f"cell{cell}_edge_0_2_{operation}" for cell in (1, 2, 3) for operation in ("nor_conv_1x1", "avg_pool_3x3")
    }
