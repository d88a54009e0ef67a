"""ENAS's controller learns on shared weights, proposes networks of the region, and goes on where it was killed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latency_predictors.cost_model import BlockCost
from nas import strategies
from nas.constraint import Constraint
from nas.controller import Controller
from nas.data import Dataset
from nas.evaluation.shared_weights import SharedWeights
from nas.objectives import FeasibleRegion, Objective, Reward
from nas.search import Search
from nas.strategies.enas import ENAS, _ControllerDescent
from nas.supernet import Supernet
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population


@pytest.fixture(scope="module")
def weights(tiny: SearchSpace, data: Dataset) -> SharedWeights:
    torch.manual_seed(0)
    return SharedWeights(Supernet(tiny), data)


@pytest.fixture(scope="module")
def region(tiny: SearchSpace) -> FeasibleRegion:
    values = np.random.default_rng(0).uniform(0.1, 1, len(tiny.index.blocks))
    model = BlockCost(tiny, "latency_ms", values)
    return FeasibleRegion(tiny, [Constraint(model, 0.6 * model.dearest()[0])])


def load() -> ENAS:
    strategy = strategies.load("enas", epochs=2, batch_size=24)
    assert isinstance(strategy, ENAS)
    return strategy


def proposed(strategy: ENAS, weights: SharedWeights, region: FeasibleRegion, directory: Path | None) -> Population:
    strategy.use(weights, directory, {})
    strategy.begin(region, [Objective("accuracy")], seed=1)
    return strategy.ask()


def test_a_killed_descent_goes_on_to_the_same_networks(
    weights: SharedWeights, region: FeasibleRegion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = proposed(load(), weights, region, None)
    assert region.contains(undisturbed).all()
    monkeypatch.setattr("nas.training.joint_descent._CHECKPOINT_SECONDS", 0.0)
    step, taken = _ControllerDescent.take_step, []

    def dying(descent: _ControllerDescent) -> dict[str, str]:
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(step(descent))
        return taken[-1]

    with monkeypatch.context() as patch:
        patch.setattr(_ControllerDescent, "take_step", dying)
        with pytest.raises(KeyboardInterrupt):
            proposed(load(), weights, region, tmp_path)
    assert np.array_equal(proposed(load(), weights, region, tmp_path), undisturbed)
    (constraint,) = region.constraints
    other = FeasibleRegion(region.space, [replace(constraint, bound=1.1 * constraint.bound)])
    for bounds in (other, FeasibleRegion(region.space)):
        with pytest.raises(InputError, match=r"was made with bounds\.latency_ms"):
            proposed(load(), weights, bounds, tmp_path)
    others = SharedWeights(Supernet(region.space), weights.data)
    with pytest.raises(InputError, match="was made with weights = '"):
        proposed(load(), others, region, tmp_path)


def test_the_controller_learns_which_networks_lose_least(
    weights: SharedWeights, tiny: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = strategies.load("enas", epochs=8, batch_size=24, learning_rate=0.05, rewarded=4)
    assert isinstance(strategy, ENAS)
    monkeypatch.setattr(_ControllerDescent, "_loss", lambda descent, row: float(row.sum()))
    asked = proposed(strategy, weights, FeasibleRegion(tiny), None)
    assert asked.sum(axis=1).mean() < tiny.canonical(tiny.sample(200, np.random.default_rng(0))).sum(axis=1).mean() - 2


def test_the_controller_learns_from_what_it_drew_alone(
    weights: SharedWeights, tiny: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a region that it never draws of, networks are sampled, which say nothing of its probabilities."""
    smallest = tiny.canonical(tiny.encode([tiny.smallest()]))
    monkeypatch.setattr(FeasibleRegion, "contains", lambda region, rows: (rows == smallest).all(axis=1))
    monkeypatch.setattr(FeasibleRegion, "sample", lambda region, n, rng: smallest.repeat(n, axis=0))
    monkeypatch.setattr(Controller, "draw", lambda controller, n, rng: np.array([tiny.n_options - 1] * n))
    strategy = load()
    assert np.array_equal(proposed(strategy, weights, FeasibleRegion(tiny), None)[:1], smallest)
    began = Controller(tiny.n_options.tolist(), strategy.hidden, int(np.random.default_rng(1).integers(2**31)))
    assert all(map(torch.equal, strategy._controller.parameters(), began.parameters()))


def test_evaluations_go_on_teaching_it(weights: SharedWeights, region: FeasibleRegion) -> None:
    strategy = load()
    strategy.use(weights, None, {})
    history = Search(weights, strategy, [Objective("accuracy")], region, budget=12, seed=0).run(progress=False)
    assert len(history.population) == 12
    assert region.contains(history.population).all()


def test_it_knows_nothing_of_costs_beside_the_cross_entropy(weights: SharedWeights, region: FeasibleRegion) -> None:
    strategy = load()
    strategy.use(weights, None, {})
    with pytest.raises(InputError, match="bound the cost instead"):
        strategy.begin(region, [Reward("accuracy", cost=region.constraints[0].model, target=1.0)], seed=1)


def test_a_controller_works_where_its_parameters_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device, which as a graphics card refuses tensors of another."""
    controller = Controller([3, 2], hidden=4, seed=0).to("meta")
    log_probability, entropy = controller.log_probabilities(np.zeros((5, 2), np.int64))
    assert log_probability.device.type == entropy.device.type == "meta"
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype))
    assert controller.draw(5, np.random.default_rng(0)).shape == (5, 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
@pytest.mark.parametrize("name", ["enas", "robust_darts"])
def test_weights_on_a_graphics_card_are_searched_there(name: str, tiny: SearchSpace, data: Dataset) -> None:
    own = {"window": 1} if name == "robust_darts" else {}
    strategy = strategies.load(name, epochs=3, batch_size=48, **own)
    strategy.use(SharedWeights(Supernet(tiny).cuda(), data), None, {})
    strategy.begin(FeasibleRegion(tiny), [Objective("accuracy")], 0)
    asked = strategy.ask()
    strategy.tell(asked, np.zeros((len(asked), 1)))
    assert len(strategy.ask())
