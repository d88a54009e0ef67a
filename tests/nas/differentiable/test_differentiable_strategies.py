"""What every differentiable strategy keeps: its networks hit the bound, and a killed search finds what another does."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

import search_spaces
from latency_predictors.cost_model import BlockCost
from nas import strategies
from nas.constraint import Constraint
from nas.data import Dataset
from nas.differentiable.descent import ArchitectureDescent
from nas.differentiable.gates import Mixture
from nas.differentiable.strategy import DifferentiableStrategy
from nas.evaluation.shared_weights import SharedWeights
from nas.objectives import FeasibleRegion, Objective, Reward
from nas.search import Search
from nas.search_options import SearchOptions, StrategyOptions
from nas.strategies.pdarts import PDARTS
from nas.supernet import Supernet
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population

NAMES = [name for name in strategies.names() if isinstance(strategies.load(name), DifferentiableStrategy)]
QUICK: dict[str, Any] = {"epochs": 3, "batch_size": 32, "warmup": 0.2}

OWN: dict[str, dict[str, Any]] = {"robust_darts": {"window": 1, "sharpening": 1e-6}}
"""What a strategy needs to go through so few epochs."""

every_strategy = pytest.mark.parametrize("name", NAMES)


def load(name: str, **options: Any) -> DifferentiableStrategy:
    strategy = strategies.load(name, **QUICK | OWN.get(name, {}) | options)
    assert isinstance(strategy, DifferentiableStrategy)
    return strategy


@pytest.fixture(scope="module")
def region(tiny: SearchSpace) -> FeasibleRegion:
    values = np.random.default_rng(0).uniform(0.5, 1, len(tiny.index.blocks))
    sizes = [sum(p.numel() for p in block.build().parameters()) for block in tiny.index.blocks]
    model = BlockCost(tiny, "latency_ms", values * np.array(sizes) ** 0.5, margin=0.02)
    return FeasibleRegion(tiny, [Constraint(model, 0.6 * model.dearest()[0])])


@pytest.fixture(scope="module")
def weights(tiny: SearchSpace, data: Dataset) -> SharedWeights:
    torch.manual_seed(0)
    return SharedWeights(Supernet(tiny), data)


@pytest.fixture(scope="module")
def undisturbed(weights: SharedWeights, region: FeasibleRegion) -> Callable[[str], Population]:
    """Returns what a strategy proposes first."""
    return cache(lambda name: proposed(load(name), weights, region))


def proposed(
    strategy: DifferentiableStrategy,
    weights: SharedWeights,
    region: FeasibleRegion,
    directory: Path | None = None,
    seed: int = 1,
) -> Population:
    strategy.use(weights, directory, {}, progress=False)
    strategy.begin(region, [Objective("accuracy")], seed)
    return strategy.ask()


@every_strategy
def test_the_first_network_hits_the_bound(
    name: str, weights: SharedWeights, region: FeasibleRegion, undisturbed: Callable[[str], Population]
) -> None:
    before = {n: t.clone() for n, t in weights.supernet.state_dict().items()}
    asked = undisturbed(name)
    assert np.array_equal(region.space.canonical(asked), asked)
    assert region.contains(asked).all()
    (constraint,) = region.constraints
    used = constraint.model.predict(asked[:1]) * (1 + constraint.model.margin) / constraint.bound
    assert 0.97 <= used[0] <= 1
    assert all(torch.equal(t, before[n]) for n, t in weights.supernet.state_dict().items()), "it trains a copy"


@pytest.mark.parametrize(
    "name", ["robust_darts", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gdas", "pdarts"))]
)
def test_a_killed_descent_goes_on_to_the_same_networks(
    name: str,
    weights: SharedWeights,
    region: FeasibleRegion,
    undisturbed: Callable[[str], Population],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas.training.joint_descent._CHECKPOINT_SECONDS", 0.0)
    step, taken = ArchitectureDescent.take_step, []

    def dying(descent: ArchitectureDescent) -> dict[str, str]:
        if len(taken) == 7:
            raise KeyboardInterrupt
        taken.append(step(descent))
        return taken[-1]

    with monkeypatch.context() as patch:
        patch.setattr(ArchitectureDescent, "take_step", dying)
        with pytest.raises(KeyboardInterrupt):
            proposed(load(name), weights, region, tmp_path)
    assert np.array_equal(proposed(load(name), weights, region, tmp_path), undisturbed(name))
    with pytest.raises(InputError, match="learning_rate"):
        proposed(load(name, learning_rate=0.1), weights, region, tmp_path)
    with pytest.raises(InputError, match="seed"):
        proposed(load(name), weights, region, tmp_path, seed=2)
    if name == "gdas":
        with pytest.raises(InputError, match="strategy"):
            proposed(load("fbnet", temperature=10, final_temperature=0.1), weights, region, tmp_path)


@every_strategy
def test_options_that_lower_the_loss_become_likely(
    name: str, weights: SharedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the loss is the sum of the options' numbers, the first option of every choice becomes likely."""
    descent = ArchitectureDescent(load(name, logit_learning_rate=0.2), weights, (), 0)
    numbers = [torch.arange(float(n)) for n in weights.space.n_options]
    monkeypatch.setattr(
        descent,
        "_loss",
        lambda mixture, batch: torch.stack([w @ n for w, n in zip(mixture.weights, numbers, strict=True)]).sum(),
    )
    for _ in range(30):
        descent._step_logits()
        descent.descent.step += 1
    for choice, probabilities in enumerate(descent.probabilities()):
        if choice not in descent._relaxation.sampled:
            assert probabilities[0] > 0.5


def test_a_choice_that_can_only_be_sampled_learns_from_the_loss(
    tiny: SearchSpace, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = SharedWeights(Supernet(tiny), data)
    descent = ArchitectureDescent(load("gdas", logit_learning_rate=0.3), weights, (), 0)
    resolution = [choice.name for choice in tiny.choices].index("resolution")
    monkeypatch.setattr(descent, "_loss", lambda mixture, batch: torch.tensor(float(mixture.row[resolution])))
    for _ in range(40):
        descent._step_logits()
        descent.descent.step += 1
    assert descent.probabilities()[resolution][0] > 0.8


def test_of_two_bounds_the_tight_one_is_hit(
    weights: SharedWeights, region: FeasibleRegion, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tight,) = region.constraints
    slack = BlockCost(region.space, "macs", np.ones(len(region.space.index.blocks)))
    constraints = [tight, Constraint(slack, 2 * slack.dearest()[0])]
    descent = ArchitectureDescent(load("darts", logit_learning_rate=0.2), weights, constraints, 0)
    monkeypatch.setattr(descent, "_batch", lambda: None)
    monkeypatch.setattr(descent, "_loss", lambda mixture, batch: sum(w[0] for w in mixture.weights) / 10)
    for _ in range(60):
        descent._step_logits()
    of_tight, of_slack = descent.shares_of_bounds()
    assert of_tight == pytest.approx(1, abs=0.02)
    assert of_slack < 0.7
    assert descent._state.multipliers.abs().max() < 2


def test_robust_darts_ends_where_the_loss_becomes_sharp(
    tiny: SearchSpace, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = strategies.load("robust_darts", epochs=9, window=2, batch_size=96)
    assert isinstance(strategy, DifferentiableStrategy)
    descent = ArchitectureDescent(strategy, SharedWeights(Supernet(tiny), data), (), 0)
    sharpness = [1.0, 1.0, 1.0, 1.0, 1.2, 2.0, 3.0, 4.0, 5.0]
    monkeypatch.setattr(ArchitectureDescent, "dominant_eigenvalues", lambda descent: sharpness[: descent.epoch + 1])
    descent.run(None, {}, progress=False)
    assert descent.epoch == 5, "1.6 on average, 1 two epochs before"
    then = torch.cat(list(descent._logits))
    assert torch.equal(then, descent._state.history[3])


def test_robust_darts_refuses_epochs_too_few_to_end_early(weights: SharedWeights, region: FeasibleRegion) -> None:
    with pytest.raises(InputError, match="epochs 10: expected more than two windows of 5"):
        proposed(load("robust_darts", epochs=10, window=5), weights, region)
    strategy = strategies.load("robust_darts")
    strategy.use(weights, None, {})
    strategy.begin(region, [Objective("accuracy")], 0)


def test_p_darts_grows_networks_and_drops_options_from_stage_to_stage(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = search_spaces.load("nasbench201", channels=2, cells=3, resolution=8)
    stages = []
    run = ArchitectureDescent.run

    def watched(descent: ArchitectureDescent, *arguments: Any, progress: bool) -> None:
        options = [int((p > 0).sum()) for p in descent.probabilities()]
        stages.append((descent.supernet.space.cells, options, descent.strategy.skip_dropout(0.5)))
        run(descent, *arguments, progress=False)

    monkeypatch.setattr(ArchitectureDescent, "run", watched)
    strategy = load("pdarts", first_depth=0.4, dropout=0.6, skips=1, batch_size=96)
    found = proposed(strategy, SharedWeights(Supernet(space), data), FeasibleRegion(space))
    assert stages == [(1, [5] * 6, 0.0), (2, [3] * 6, pytest.approx(0.15)), (3, [2] * 6, pytest.approx(0.3))]
    with_skip = [[option == "skip_connect" for option in a.values()] for a in space.decode(found)]
    assert np.sum(with_skip, axis=1).max() <= 1
    with pytest.raises(InputError, match="epochs 2: expected at least one for each of 3 stages"):
        proposed(load("pdarts", epochs=2), SharedWeights(Supernet(space), data), FeasibleRegion(space))


def test_p_darts_has_few_skips_where_they_are_likeliest() -> None:
    strategy = load("pdarts", share=0.2, skips=1)
    assert isinstance(strategy, PDARTS)
    strategy.begin(FeasibleRegion(search_spaces.load("nasbench201")), [Objective("accuracy")], 0)
    likeliest_skip = np.log(np.tile([0.1, 0.5, 0.2, 0.1, 0.1], 6))
    found = strategy._with_few_skips(strategy._narrowed(strategy._narrowed(likeliest_skip))).reshape(6, 5)
    assert (found[:, 1] > -np.inf).sum() == 1
    assert (found[:, 2] > -np.inf).all()


def test_proxylessnas_trains_weights_on_paths_drawn_by_their_probabilities() -> None:
    strategy, generator = load("proxylessnas"), torch.Generator().manual_seed(0)
    logits = torch.tensor([0.7, 0.2, 0.1]).log()
    gates = [strategy.gate_of_weights(logits, 0.5, generator) for _ in range(500)]
    assert all(len(gate.options) == 1 for gate in gates)
    mean = torch.stack([gate.weights for gate in gates]).mean(0)
    assert torch.allclose(mean, torch.tensor([0.7, 0.2, 0.1]), atol=0.06)


def test_a_step_of_proxylessnas_leaves_the_probabilities_of_options_that_were_not_drawn(weights: SharedWeights) -> None:
    descent = ArchitectureDescent(load("proxylessnas", logit_learning_rate=0.3), weights, (), 0)
    drawn, left = [], []
    for descent.descent.step in range(4):
        gates, before = descent._mixture("logits").gates, descent.probabilities()
        descent._step_logits()
        for choice, (gate, old, new) in enumerate(zip(gates, before, descent.probabilities(), strict=True)):
            for option, change in enumerate((new - old).tolist()):
                if choice not in descent._relaxation.sampled:
                    (drawn if option in gate.options else left).append(abs(change))
    assert max(drawn) > 0.01
    assert max(left) < 1e-6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"skips": 1}, "skips 1 does nothing without a space that names its skip connections"),
        ({"dropout": 0.5}, "dropout 0.5 does nothing without several stages and a space that names its skip"),
        ({"first_depth": 0.5}, "first_depth 0.5 does nothing without several stages and a space that says how"),
        ({"stages": 1, "share": 0.5}, "share 0.5 does nothing without several stages"),
    ],
)
def test_p_darts_refuses_what_a_space_has_no_use_for(
    weights: SharedWeights, region: FeasibleRegion, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        proposed(load("pdarts", **options), weights, region)


def test_a_skip_connection_is_dropped_out_and_made_up_for(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    space = search_spaces.load("nasbench201", channels=2, cells=1, resolution=8)
    strategy = load("darts")
    monkeypatch.setattr(strategy, "skip_dropout", lambda progress: 0.75)
    descent = ArchitectureDescent(strategy, SharedWeights(Supernet(space), data), (), 0)
    weights = []
    for descent.descent.step in range(200):
        weights += [w.detach().numpy() for w in descent._mixture("weights").weights]
    of_skip = np.array(weights)[:, 1]
    assert sorted({*of_skip.round(6).tolist()}) == pytest.approx([0.0, 0.8])
    assert of_skip.mean() == pytest.approx(0.2, rel=0.15), "in the mean as without"
    assert (np.delete(weights, 1, axis=1) == np.float32(0.2)).all()


def test_second_order_looks_ahead(weights: SharedWeights, region: FeasibleRegion) -> None:
    descents = [
        ArchitectureDescent(load("darts", second_order=ahead, epochs=1), weights, region.constraints, 0)
        for ahead in (False, True)
    ]
    for descent in descents:
        descent.run(None, {}, progress=False)
    first, second = (np.concatenate([p.detach().numpy() for p in descent.probabilities()]) for descent in descents)
    assert not np.allclose(first, second)
    assert np.isfinite(second).all()


def test_second_order_gradients_are_those_of_an_unrolled_step(
    weights: SharedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    descent, rate = ArchitectureDescent(load("darts", second_order=True), weights, (), 0), 0.5
    parameter = next(iter(descent.supernet.parameters()))
    losses = {
        "train": lambda w, a: ((w - a) ** 2).sum() + w.prod() * a.sum(),
        "validation": lambda w, a: (w.sin() * a).sum(),
    }

    def loss(mixture: Mixture, batch: str, moved: torch.Tensor = parameter) -> torch.Tensor:
        shares = torch.stack([weights[0] for weights in mixture.weights])
        return losses[batch](moved.flatten()[: len(shares)], shares)

    mixture = descent._mixture("logits")
    (step,) = torch.autograd.grad(loss(mixture, "train"), parameter, create_graph=True)
    exact = torch.autograd.grad(
        loss(mixture, "validation", parameter - rate * step), descent._logits, allow_unused=True
    )
    monkeypatch.setattr(descent, "_loss", loss)
    monkeypatch.setattr(descent, "_batch", lambda: "validation")
    monkeypatch.setattr(descent.descent, "batch", lambda: "train")
    monkeypatch.setattr(descent.descent, "learning_rate", lambda: rate)
    descent._step_logits()
    for logits, wanted in zip(descent._logits, exact, strict=True):
        assert torch.allclose(logits.grad, torch.zeros_like(logits) if wanted is None else wanted, rtol=0.01, atol=1e-5)


def test_a_step_depends_on_no_random_numbers_but_its_own(weights: SharedWeights, region: FeasibleRegion) -> None:
    """Networks drop out: what is differenced must drop the same, and a search that goes on what it would have."""
    assert any(isinstance(module, nn.Dropout) and module.p for module in weights.supernet.store.modules())
    descent, gradients = ArchitectureDescent(load("gdas"), weights, region.constraints, 0), []
    for noise in (1, 2):
        torch.manual_seed(noise)
        gradients.append(descent._gradient_at(torch.zeros(int(weights.space.n_options.sum()))))
    assert torch.equal(*gradients)
    assert gradients[0].any()


def test_what_it_cannot_do_is_refused_before_anything_runs(
    weights: SharedWeights, region: FeasibleRegion, additive: Callable[..., Any]
) -> None:
    with pytest.raises(InputError, match=r"strategy darts descends a supernet's weights and was given none.*nsga2"):
        Search(weights, strategies.load("darts"), [Objective("accuracy")], region, budget=1, seed=0)
    with pytest.raises(ValidationError, match=r"say --search\.evaluator shared_weights"):
        SearchOptions(strategy=StrategyOptions("gdas"))
    strategy = load("darts")
    strategy.use(weights, None, {})
    (constraint,) = region.constraints
    reward = Reward("accuracy", cost=constraint.model, target=1.0)
    with pytest.raises(InputError, match="bound the cost instead"):
        strategy.begin(region, [reward], 0)
    peak = BlockCost(region.space, "peak_bytes", np.ones(len(region.space.index.blocks)), combine="max")
    with pytest.raises(InputError, match="peak_bytes is no sum"):
        strategy.begin(FeasibleRegion(region.space, [Constraint(peak, 2.0)]), [Objective("accuracy")], 0)


def test_a_search_evaluates_what_it_proposes(
    weights: SharedWeights, region: FeasibleRegion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strategy = load("gdas")
    strategy.use(weights, tmp_path, {}, progress=False)
    history = Search(weights, strategy, [Objective("accuracy")], region, budget=4, seed=0).run(progress=False)
    assert len(history.population) == 4
    assert np.isfinite(history.metrics["accuracy"]).all()
    assert not capsys.readouterr().err, "no bar was asked for"
