"""Budgets are read or refused in one line, and every network drawn from a region keeps its bounds."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import search_spaces
from latency_predictors.cost_model import BlockCost
from nas import objectives, strategies
from nas.constraint import Constraint
from nas.objectives import FeasibleRegion, Limit, Objective, Reward, parse_budget
from nas.search import Search
from search_spaces import InputError, SearchSpace

SEEDS = st.integers(0, 2**32 - 1)


@cache
def mobile() -> SearchSpace:
    return search_spaces.load("mobilenet_v3_32")


def random_cost(space: SearchSpace, seed: int = 0, metric: str = "latency_ms", margin: float = 0.0) -> BlockCost:
    values = np.random.default_rng(seed).uniform(0.1, 1, len(space.index.blocks))
    return BlockCost(space, metric, values, constant=0.2, margin=margin)


def bound(model: BlockCost, share: float) -> float:
    """Return a bound that lies so far from the space's lowest cost to its highest."""
    return parse_budget(f"{100 * share}%", model)


@given(seed=SEEDS, share=st.floats(0.3, 0.9))
def test_a_network_is_in_a_region_if_it_violates_no_bound(seed: int, share: float) -> None:
    models = [random_cost(mobile(), i, margin=0.02) for i in range(2)]
    region = FeasibleRegion(
        mobile(), [Constraint(model, bound(model, share), f"cost_{i}") for i, model in enumerate(models)]
    )
    population = mobile().sample(50, np.random.default_rng(seed))
    violations = region.violations(population)
    assert np.array_equal(violations == 0, region.contains(population))
    excess = [np.maximum(m.predict(population) * 1.02 / bound(m, share) - 1, 0) for m in models]
    assert violations == pytest.approx(sum(excess))


def test_an_objective_is_raised_or_lowered() -> None:
    values = np.array([1.0, 3.0, np.nan])
    assert Objective("accuracy").score({"accuracy": values})[:2].tolist() == [1, 3]
    assert Objective("cross_entropy", maximise=False).score({"cross_entropy": values})[:2].tolist() == [-1, -3]


@pytest.mark.parametrize(
    ("text", "metric", "expected"),
    [
        ("0.25ms", "latency_ms", 0.25),
        (" 0.25 ms ", "latency_ms", 0.25),
        ("1e-3ms", "latency_ms", 1e-3),
        ("3e8macs", "macs", 3e8),
        ("4000000parameters", "n_parameters", 4e6),
        ("65536bytes", "peak_activation_bytes", 65536),
    ],
)
def test_a_budget_is_a_number_with_its_unit(text: str, metric: str, expected: float) -> None:
    assert parse_budget(text, random_cost(mobile(), metric=metric)) == expected


NO_NUMBERS = ("", " ", "ms", "%", "ten ms", "latency_ms", "nanms", "nan%", "2,5ms", "0.25ms\n0.3ms")
OTHER_UNITS = ("0.25", "0.25s", "0.25us", "0.25msms", "0.25%ms")
OUT_OF_RANGE = ("0ms", "0%", "-1ms", "-1%", "101%", "infms", "inf%", "-infms", "1e999ms")


@pytest.mark.parametrize("text", [*NO_NUMBERS, *OTHER_UNITS, *OUT_OF_RANGE])
def test_other_budgets_are_refused_in_one_line(text: str) -> None:
    told = r"expected a positive number with its unit, such as 2\.5ms, or a percentage up to 100%"
    with pytest.raises(InputError, match=told) as error:
        parse_budget(text, random_cost(mobile()))
    assert repr(text) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@given(seed=SEEDS, margin=st.floats(0, 0.5), share=st.floats(1e-6, 100))
def test_a_percentage_goes_from_the_lowest_guarded_cost_to_the_highest(seed: int, margin: float, share: float) -> None:
    model = random_cost(mobile(), seed, margin=margin)
    low, high = model.cheapest()[0] * (1 + margin), model.dearest()[0] * (1 + margin)
    budget = parse_budget(f"{share:.10f}%", model)
    assert budget == pytest.approx(low + share / 100 * (high - low))
    Constraint(model, budget).require_feasible()


@given(seed=SEEDS, margin=st.floats(0, 0.5))
def test_a_budget_that_no_network_keeps_is_told_with_the_cheapest(seed: int, margin: float) -> None:
    model = random_cost(mobile(), seed, margin=margin)
    lowest, cheapest = model.cheapest()
    Constraint(model, lowest * (1 + margin)).require_feasible()
    with pytest.raises(InputError) as error:
        FeasibleRegion(mobile(), [Constraint(model, lowest * (1 + margin) * 0.999)])
    assert cheapest.id in str(error.value)
    assert f"{lowest:.4g}" in str(error.value)
    assert f"{lowest * (1 + margin):.4g}" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@settings(max_examples=20)
@given(
    seed=SEEDS, n=st.integers(0, 150), share=st.floats(1e-9, 1), margin=st.floats(0, 0.3), n_bounds=st.integers(0, 2)
)
def test_samples_are_inside_and_follow_the_seed(seed: int, n: int, share: float, margin: float, n_bounds: int) -> None:
    space = mobile()
    time, memory = (random_cost(space, i, metric, margin) for i, metric in enumerate(("latency_ms", "bytes")))
    of_fastest = memory.predict(space.encode([time.cheapest()[1]]))[0]
    bounds = [Constraint(time, bound(time, share)), Constraint(memory, of_fastest * (1 + margin))]
    region = FeasibleRegion(space, bounds[:n_bounds])
    population = region.sample(n, np.random.default_rng(seed))
    assert population.shape == (n, len(space.choices))
    assert region.contains(population).all()
    assert region.contains(space.canonical(population)).all()
    assert np.array_equal(population, region.sample(n, np.random.default_rng(seed)))


def test_a_region_of_one_network_is_sampled(toy: Callable[..., Any]) -> None:
    for space in (toy(), mobile()):
        model = random_cost(space)
        lowest, cheapest = model.cheapest()
        region = FeasibleRegion(space, [Constraint(model, lowest + 1e-9)])
        population = region.sample(100, np.random.default_rng(0))
        assert set(space.decode(space.canonical(population))) == {cheapest}


def test_a_space_of_one_network_is_sampled(toy: Callable[..., Any]) -> None:
    population = FeasibleRegion(toy(widths=(8,), depths=(1,))).sample(5, np.random.default_rng(0))
    assert population.tolist() == [[0, 0]] * 5


def test_what_is_new_in_a_region_is_named_once_in_canonical_form(toy: Callable[..., Any]) -> None:
    space = toy()
    model = random_cost(space)
    region = FeasibleRegion(space, [Constraint(model, bound(model, 0.5))])
    inside = sorted({row.tobytes() for row in space.canonical(space.rows()[region.contains(space.rows())])})
    found = [row.tobytes() for row in region.new(space.rows(), set(inside[::3]))]
    assert sorted(found) == sorted(set(inside) - set(inside[::3]))
    assert not len(region.new(space.rows(), set(inside)))


def test_growth_begins_at_the_smallest_network_unless_bounds_leave_it_out(toy: Callable[..., Any]) -> None:
    space, rng = toy(), np.random.default_rng(0)
    smallest = space.canonical(space.encode([space.smallest()]))
    dear = space.index.blocks.index(next(iter(space.plan(space.smallest()).values())))
    model = BlockCost(space, "macs", np.eye(len(space.index.blocks))[dear])
    assert np.array_equal(FeasibleRegion(space).origin(rng), smallest)
    region = FeasibleRegion(space, [Constraint(model, 0.5)])
    assert not region.contains(smallest).any()
    assert region.contains(region.origin(rng)).tolist() == [True]


def test_a_rare_region_is_sampled_widely() -> None:
    """One network of a million is inside: the sample holds many of them, not those nearest to the cheapest alone."""
    space = search_spaces.load("ofa_mobilenet_v3", resolutions=(128,))
    model = random_cost(space)
    region = FeasibleRegion(space, [Constraint(model, bound(model, 0.05))])
    assert region.contains(space.sample(100_000, np.random.default_rng(0))).mean() < 1e-4
    population = region.sample(200, np.random.default_rng(0))
    assert region.contains(population).all()
    assert len(np.unique(space.canonical(population), axis=0)) > 150


def test_a_random_walk_visits_all_of_a_region_alike(toy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    space = toy()
    model = random_cost(space)
    region = FeasibleRegion(space, [Constraint(model, bound(model, 0.5))])
    inside = space.rows()[region.contains(space.rows())]
    monkeypatch.setattr(objectives, "_SAMPLING_ROUNDS", 0)
    monkeypatch.setattr(objectives, "_WALKING_SWEEPS", 20)  # far from where all walks begin
    found, visits = np.unique(region.sample(200 * len(inside), np.random.default_rng(0)), axis=0, return_counts=True)
    assert np.array_equal(found, inside)
    assert 20 < len(inside) < len(space.rows())
    assert visits.min() > 130
    assert visits.max() < 270


def test_bounds_that_exclude_each_other_are_told(toy: Callable[..., Any]) -> None:
    space = toy()
    macs = random_cost(space, metric="macs")
    opposite = BlockCost(space, "latency_ms", -macs.values, constant=10.0)
    constraints = [Constraint(model, bound(model, 0.001)) for model in (macs, opposite)]
    with pytest.raises(InputError, match=r"no network keeps macs <= .* and latency_ms <= .*: the nearest") as error:
        FeasibleRegion(space, constraints)
    assert len(str(error.value).splitlines()) == 1


def rewards(toy: Callable[..., Any], kind: str, exponent: float | None, ratios: list[float]) -> list[float]:
    cost = random_cost(toy())
    reward = Reward("accuracy", cost=cost, target=2.0, kind=kind, exponent=exponent)  # type: ignore[arg-type]
    metrics = {"accuracy": np.full(len(ratios), 0.8), cost.metric: 2.0 * np.array(ratios)}
    return [float(value) for value in reward.score(metrics)]


@pytest.mark.parametrize(
    ("kind", "exponent", "expected"),
    [
        ("soft", -0.07, [0.8 * 0.5**-0.07, 0.8, 0.8 * 2**-0.07]),
        ("hard", -1.0, [0.8, 0.8, 0.4]),
        ("absolute", -0.1, [0.75, 0.8, 0.7]),
        ("soft", None, [0.8 * 0.5**-0.07, 0.8, 0.8 * 2**-0.07]),
        ("hard", None, [0.8, 0.8, 0.4]),
        ("absolute", None, [0.765, 0.8, 0.73]),
    ],
)
def test_rewards_are_as_published(
    toy: Callable[..., Any], kind: str, exponent: float | None, expected: list[float]
) -> None:
    assert rewards(toy, kind, exponent, [0.5, 1.0, 2.0]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0.0}, "target of 0.0 is no cost"),
        ({"target": float("nan")}, "target of nan is no cost"),
        ({"target": 1.0, "exponent": 0.07}, "would reward high costs"),
        ({"target": 1.0, "maximise": False}, "a reward raises a metric"),
        ({"target": "3ms"}, "^Reward: target '3ms': input should be a valid number"),
        ({"target": 1.0, "kind": "foo"}, "^Reward: kind 'foo': input should be 'soft', 'hard' or 'absolute'$"),
    ],
)
def test_rewards_that_make_no_sense_are_refused(toy: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Reward("accuracy", cost=random_cost(toy()), **options)
    with pytest.raises(InputError, match=r"^Limit: at_most nan: input should be a finite number$"):
        Limit("accuracy", float("nan"))


@pytest.mark.parametrize("kind", ["soft", "hard", "absolute"])
def test_what_is_lowered_is_rewarded_by_its_negative_where_it_is_not_multiplied(
    kind: Any, toy: Callable[..., Any]
) -> None:
    """Of a negative metric times a share of its cost, the dearer network would be the better."""
    cost, advice = random_cost(toy()), "" if kind == "absolute" else ", with the kind absolute"
    with pytest.raises(InputError, match=f"cross_entropy is to be lowered; give its negative{advice}$"):
        Reward("cross_entropy", maximise=False, cost=cost, target=2.0, kind=kind)
    reward = Reward("negative", cost=cost, target=2.0, kind=kind)
    metrics = {"negative": np.array([-1.0, np.nan]), cost.metric: np.array([4.0, 4.0])}
    if kind == "absolute":
        assert reward.score(metrics)[0] == pytest.approx(-1.07)
    else:
        with pytest.raises(InputError, match=f"a {kind} reward multiplies negative: -1 would be the better the dearer"):
            reward.score(metrics)


def test_a_search_for_a_reward_records_the_cost_and_ends_near_the_target(
    toy: Callable[..., Any], additive: Callable[..., Any]
) -> None:
    space = search_spaces.load("mobilenet_v3_32")
    cost = random_cost(space)
    target = bound(cost, 0.5)
    reward = Reward("score", cost=cost, target=target, exponent=-1000.0)
    strategy = strategies.load("regularized_evolution")
    history = Search(additive(space), strategy, [reward], FeasibleRegion(space), budget=500, seed=0).run(progress=False)
    best = history.best(1, reward)
    assert np.array_equal(history.metrics[cost.metric], cost.predict(history.population))
    assert history.metrics[cost.metric][best] == pytest.approx(target, rel=0.02)
