"""Shares of a batch on several ranks make the step that one process makes of the whole batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import search_spaces
from nas.data import DataOptions, Dataset, load_data
from nas.supernet import Supernet
from nas.training import SupernetOptions
from nas.training.descent import Descent, Student
from nas.training.ranks import Ranks, require_cards
from nas.training.sampling import SAMPLINGS, Moment, load_sampling
from nas.training.whole_batch import whole_batch
from search_spaces import InputError, SearchSpace
from search_spaces.blocks.row_norm import RowNorm

OnRanks = Callable[[int, Callable[[], Any]], list[Any]]

# A test's process has threads that forked ranks do not miss.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@given(st.integers(1, 9), st.integers(0, 100))
def test_shares_are_all_examples_once_and_of_like_sizes(n_ranks: int, n_examples: int) -> None:
    shares = [list(range(n_examples))[Ranks(number, n_ranks).share(n_examples)] for number in range(n_ranks)]
    assert [example for share in shares for example in share] == list(range(n_examples))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.fixture(autouse=True)
def double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what differs does not differ by rounding, which training multiplies from step to step."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)


def descended(space: SearchSpace, data: Dataset, options: SupernetOptions, n_steps: int) -> tuple[list[float], Any]:
    """Train some steps; return the losses, and all weights and statistics."""
    torch.manual_seed(0)
    supernet = Supernet(space).double()
    descent = Descent(supernet, data, options, Ranks.here())
    sampling = load_sampling(options.sampling, options.sampling_options)

    def student(architecture: Any) -> Student:
        def prepare(batch: Any) -> tuple[Tensor, ...]:
            inputs = space.prepare(batch, architecture)
            return tuple(x.double() if x.is_floating_point() else x for x in inputs)

        return Student(supernet.network(architecture), prepare)

    def losses(population: Any, n: int | None) -> Any:
        return np.array(descent.losses([student(a) for a in space.decode(population)], n))

    memory: Any = {}
    curve = []
    for step in range(n_steps):
        rng = np.random.default_rng(step)
        draw = sampling.draw(Moment(space, rng, step / n_steps, losses, memory))
        memory = draw.memory
        curve.append(descent.descend([student(a) for a in draw.architectures], distil=draw.distil))
    return curve, {name: tensor.numpy() for name, tensor in supernet.state_dict().items()}


def require_alike(one: tuple[list[float], Any], other: tuple[list[float], Any]) -> None:
    np.testing.assert_allclose(one[0], other[0], rtol=0, atol=1e-9)
    for name in one[1]:
        np.testing.assert_allclose(one[1][name], other[1][name], rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_ranks_take_the_steps_of_one_process(
    sampling: str, tiny: SearchSpace, data: Dataset, on_ranks: OnRanks
) -> None:
    """With dropout, and shares of two sizes: 16 and 17 of 33 images."""
    few = {"paths": 4, "kept": 2} if sampling == "greedy" else {}
    options = SupernetOptions(epochs=3, batch_size=33, device="cpu", sampling=sampling, sampling_options=few)
    train = partial(descended, tiny, data, options, 1 if sampling == "sandwich" else 2)
    one, other = on_ranks(2, train)
    require_alike(one, train())
    assert one[0] == other[0]
    assert all(np.array_equal(one[1][name], other[1][name]) for name in one[1])


@pytest.mark.parametrize(
    ("name", "source"),
    [("pvcnn", "synthetic_scenes"), ("pvcnn", "synthetic_objects"), ("spvnas_small", "synthetic_scenes")],
)
def test_ranks_take_the_steps_of_one_process_on_clouds(name: str, source: str, on_ranks: OnRanks) -> None:
    """Shares differ in points, and in voxels."""
    data = load_data(DataOptions(source, n_scenes=12, max_points=60))
    small = {"width": 0.25, "grid": 0.25} if name == "pvcnn" else {"voxel_size": 1.0}
    space = search_spaces.load(name, **data.space_options(), **small)
    options = SupernetOptions(epochs=3, batch_size=3, device="cpu", sampling="uniform")
    train = partial(descended, space, data, options, 2)
    require_alike(on_ranks(2, train)[-1], train())


def rows_norm(rows: int) -> tuple[Tensor, ...]:
    """Return the outcome and the gradients of a norm of single-row shares, of which there are so many."""
    ranks = Ranks.here()
    torch.manual_seed(0)
    x = torch.randn(rows, 3, dtype=torch.float64)[ranks.share(rows)].requires_grad_()
    norm = RowNorm(3).double()
    with whole_batch(ranks):
        y = norm(x)
    (y**3).sum().backward()
    assert norm.weight.grad is not None
    return y.detach(), x.grad, ranks.sum(norm.weight.grad), norm.running_var


def test_a_share_of_a_single_row_is_normalised_with_the_rows_of_others(on_ranks: OnRanks) -> None:
    one, other = on_ranks(2, partial(rows_norm, 2))
    y, by_x, by_weight, var = rows_norm(2)
    torch.testing.assert_close(torch.cat([one[0], other[0]]), y)
    torch.testing.assert_close(torch.cat([one[1], other[1]]), by_x)
    torch.testing.assert_close((one[2], one[3]), (by_weight, var))


def test_graphics_cards_that_are_not_here_are_refused() -> None:
    with pytest.raises(InputError, match=r"100 ranks train on 100 GPUs, torch finds .* here: say fewer ranks"):
        require_cards(100)
