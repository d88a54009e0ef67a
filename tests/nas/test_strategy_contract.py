"""What every strategy keeps: a new file in nas/strategies is tested here as it is."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import search_spaces
from latency_predictors.cost_model import BlockCost
from nas import strategies
from nas.constraint import Constraint
from nas.objectives import FeasibleRegion, Objective, parse_budget
from nas.pareto import Scores
from nas.search import Search
from nas.search_options import SearchOptions, StrategyOptions
from nas.strategy import Strategy
from search_spaces import Block, InputError, SearchSpace
from search_spaces.plan_index import Population
from search_spaces.space import Choice

SEEDS = st.integers(0, 2**32 - 1)
N_ROUNDS = 4

NAMES = [name for name in strategies.names() if not strategies.load(name).searches_weights]
"""The others descend shared weights: tests/nas/differentiable."""

every_strategy = pytest.mark.parametrize("name", NAMES)


def region_of(space: SearchSpace, budget: str) -> FeasibleRegion:
    values = np.random.default_rng(0).uniform(0.1, 1, len(space.index.blocks))
    model = BlockCost(space, "latency_ms", values, margin=0.02)
    return FeasibleRegion(space, [Constraint(model, parse_budget(budget, model))])


@cache
def mobile(budget: str = "40%") -> FeasibleRegion:
    return region_of(search_spaces.load("mobilenet_v3_32"), budget)


Scoring = Callable[[Population, int, np.random.Generator], Scores]


def additive(population: Population, n_objectives: int, rng: np.random.Generator) -> Scores:
    """Return scores that pull in opposite directions if there are two."""
    total = population.sum(axis=1).astype(float)
    return np.stack([total, population[:, ::2].sum(axis=1) - total], axis=1)[:, :n_objectives]


def objectives_of(strategy: Strategy) -> list[Objective]:
    """Return two objectives, or one for a strategy that serves no more."""
    return [Objective("score"), Objective("loss")][: 2 if strategy.multi_objective else 1]


def run(strategy: Strategy, region: FeasibleRegion, seed: int, scoring: Scoring = additive) -> list[Population]:
    """Return what the strategy asks for in some rounds."""
    rng = np.random.default_rng(seed)
    objectives = objectives_of(strategy)
    strategy.begin(region, objectives, seed)
    asked = []
    for _ in range(N_ROUNDS):
        asked.append(strategy.ask())
        strategy.tell(asked[-1], scoring(asked[-1], len(objectives), rng))
    return asked


def equal(one: list[Population], other: list[Population]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@every_strategy
@pytest.mark.parametrize("budget", ["100%", "5%", "0.000001%"])
@settings(max_examples=1)
@given(seed=SEEDS)
def test_suggestions_are_canonical_networks_of_the_region(name: str, budget: str, seed: int) -> None:
    region = mobile(budget)
    for asked in run(strategies.load(name), region, seed):
        assert asked.ndim == 2
        assert asked.shape[1] == len(region.space.choices)
        assert ((asked >= 0) & (asked < region.space.n_options)).all()
        assert np.array_equal(region.space.canonical(asked), asked)
        assert region.contains(asked).all()


@every_strategy
def test_equal_seeds_give_equal_suggestions(name: str) -> None:
    strategy = strategies.load(name)
    first = run(strategy, mobile(), seed=1)
    assert equal(run(strategies.load(name), mobile(), seed=1), first)
    assert not equal(run(strategies.load(name), mobile(), seed=2), first)
    assert equal(run(strategy, mobile(), seed=1), first), "begin() starts anew"


@every_strategy
@given(n_known=st.integers(0, N_ROUNDS - 1))
@settings(max_examples=2)
def test_a_replayed_history_gives_the_same_next_suggestion(name: str, n_known: int) -> None:
    history = run(strategies.load(name), mobile(), 3)
    again = strategies.load(name)
    objectives = objectives_of(again)
    again.begin(mobile(), objectives, 3)
    for asked in history[:n_known]:
        assert np.array_equal(again.ask(), asked)
        again.tell(asked, additive(asked, len(objectives), np.random.default_rng(0)))
    assert np.array_equal(again.ask(), history[n_known])


HOSTILE: dict[str, Scoring] = {
    "random": lambda population, m, rng: rng.normal(size=(len(population), m)),
    "constant": lambda population, m, rng: np.zeros((len(population), m)),
    "failed": lambda population, m, rng: np.full((len(population), m), np.nan),
    "infinite": lambda population, m, rng: rng.choice([np.inf, -np.inf], (len(population), m)),
    "anything": lambda population, m, rng: rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e308], (len(population), m)),
}


@every_strategy
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_score_breaks_a_strategy(name: str, kind: str) -> None:
    for asked in run(strategies.load(name), mobile(), 0, HOSTILE[kind]):
        assert mobile().contains(asked).all()


@every_strategy
@pytest.mark.parametrize("exceeded", [(0.0, 0.1, 1e9, np.inf, np.nan), (np.inf,)])
def test_no_violation_breaks_a_strategy(name: str, exceeded: tuple[float, ...]) -> None:
    strategy, rng = strategies.load(name), np.random.default_rng(0)
    n_objectives = len(objectives_of(strategy))
    strategy.begin(mobile(), objectives_of(strategy), 0)
    for scoring in (additive, HOSTILE["anything"], HOSTILE["failed"], additive):
        asked = strategy.ask()
        strategy.tell(asked, scoring(asked, n_objectives, rng), rng.choice(exceeded, len(asked)))
        assert mobile().contains(asked).all()
    assert mobile().contains(strategy.ask()).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("regularized_evolution", {"population": 2, "sample": 20}),
        ("nsga2", {"crossover": 0, "mutants": 0.001}),
        ("ofa_evolution", {"population": 4, "mutation": 0.001}),
        ("lemonade", {"steps": 1}),
    ],
)
def test_what_exceeds_a_limit_has_children_rather_than_what_failed(name: str, options: dict[str, Any]) -> None:
    space = mobile("100%").space
    strategy = strategies.load(name, **options)
    strategy.begin(mobile("100%"), objectives_of(strategy), 0)
    failed, worked = np.zeros_like(space.n_options), space.n_options - 1
    scores = np.array([[np.nan], [0.9]]).repeat(len(objectives_of(strategy)), axis=1)
    told = (np.stack([failed, worked]), scores, np.array([[0.0], [0.1]]))
    population, scores, violations = (np.tile(one, (25, 1)) for one in told)  # no random ones are due any more
    strategy.tell(population, scores, violations[:, 0])
    assert np.median((strategy.ask() != worked).sum(axis=1)) < 2


@pytest.mark.parametrize(("name", "population"), [("nsga2", 50), ("ofa_evolution", 100)])
def test_a_network_told_first_does_not_take_the_place_of_the_random_ones(name: str, population: int) -> None:
    strategy, space = strategies.load(name), mobile("100%").space
    strategy.begin(mobile("100%"), objectives_of(strategy), 0)
    scores = np.ones((population, len(objectives_of(strategy))))
    first = space.canonical(space.sample(1, np.random.default_rng(0)))
    strategy.tell(first, scores[:1])
    asked = strategy.ask()
    assert len(asked) == population - 1
    assert (asked != first).mean() > 0.3, "no mutants of the first"
    strategy.tell(asked, scores[1:])
    assert len(strategy.ask()) == population, "all are known that it begins with"


@every_strategy
def test_a_strategy_may_be_told_of_a_part_or_of_nothing(name: str) -> None:
    strategy = strategies.load(name)
    objectives = objectives_of(strategy)
    strategy.begin(mobile(), objectives, 0)
    for n_told in (0, 3, 0, 1):
        asked = strategy.ask()
        strategy.tell(asked[:n_told], additive(asked[:n_told], len(objectives), np.random.default_rng(0)))
    assert mobile().contains(strategy.ask()).all()


@every_strategy
def test_a_strategy_may_be_told_first_of_networks_that_were_chosen_elsewhere(name: str) -> None:
    strategy, region = strategies.load(name), mobile()
    objectives = objectives_of(strategy)
    first = region.space.canonical(region.sample(12, np.random.default_rng(0)))

    def begin_and_ask() -> list[Population]:
        strategy.begin(region, objectives, 0)
        strategy.tell(first, additive(first, len(objectives), np.random.default_rng(0)))
        asked = []
        for _ in range(2):
            asked.append(strategy.ask())
            strategy.tell(asked[-1], additive(asked[-1], len(objectives), np.random.default_rng(0)))
        return asked

    asked = begin_and_ask()
    assert all(region.contains(rows).all() for rows in asked)
    assert equal(begin_and_ask(), asked)


@every_strategy
def test_asking_leaves_what_was_told_alone(name: str) -> None:
    strategy = strategies.load(name)
    objectives = objectives_of(strategy)
    strategy.begin(mobile(), objectives, 0)
    for _ in range(N_ROUNDS):
        asked = strategy.ask()
        scores = additive(asked, len(objectives), np.random.default_rng(0))
        before = asked.copy(), scores.copy()
        strategy.tell(asked, scores)
        strategy.ask()
        assert np.array_equal(asked, before[0])
        assert np.array_equal(scores, before[1])


@every_strategy
@pytest.mark.parametrize(
    "options", [{"widths": (8, 16), "depths": (2,)}, {"widths": (8, 16), "depths": (1, 2)}, {"widths": (8,)}]
)
def test_a_search_of_a_few_networks_finds_them_all_and_ends(
    name: str,
    options: dict[str, Any],
    toy: Callable[..., Any],
    additive: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    region = FeasibleRegion(toy(**options))
    search = Search(additive(region.space), strategies.load(name), [Objective("score")], region, budget=100, seed=0)
    with caplog.at_level("INFO"):
        history = search.run(progress=False)
    assert f"has nothing new to propose after {region.space.size} of 100 networks" in caplog.text
    assert len(history.population) == region.space.size
    assert len(np.unique(history.population, axis=0)) == region.space.size


@every_strategy
def test_a_search_of_a_tight_region_ends(name: str, additive: Callable[..., Any]) -> None:
    region = mobile("0.000001%")
    search = Search(additive(region.space), strategies.load(name), [Objective("score")], region, budget=1000, seed=0)
    assert len(search.run(progress=False).population) == 1


def test_a_network_that_is_alone_in_a_large_space_is_new_once() -> None:
    (alone,) = mobile("0.000001%").unseen(set(), np.random.default_rng(0))
    assert mobile("0.000001%").contains(alone[None]).all()
    assert not list(mobile("0.000001%").unseen({alone.tobytes()}, np.random.default_rng(0)))


# networks and seeds: of some strategies every proposal takes long
EFFORT = {
    "bananas": (150, 1),
    "optuna_cmaes": (300, 1),
    "optuna_gp": (15, 1),
    "optuna_nsga2": (400, 1),
    "optuna_nsga3": (400, 1),
    "optuna_tpe": (40, 1),
    "pnas": (200, 1),
    "ppo": (300, 1),
    "predictor_guided": (60, 1),
    "reinforce": (400, 1),
}


def mean_best(name: str, budget: int, n_seeds: int, additive: Callable[..., Any]) -> float:
    """Return the mean of the best score of so many networks, over some seeds."""
    best = []
    for seed in range(n_seeds):
        evaluator = additive(mobile().space, seed)
        search = Search(evaluator, strategies.load(name), [Objective("score")], mobile(), budget=budget, seed=seed)
        best.append(search.run(progress=False).metrics["score"].max())
    return float(np.mean(best))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "random_search"])
def test_learning_beats_random_search(name: str, additive: Callable[..., Any]) -> None:
    effort = EFFORT.get(name, (400, 3))
    assert mean_best(name, *effort, additive) > 1.1 * mean_best("random_search", *effort, additive)


@every_strategy
def test_options_that_a_strategy_lacks_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"option of strategy {name} 'no_such_option'"):
        strategies.load(name, no_such_option=1)


def test_an_unknown_strategy_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown strategy 'random_serch': did you mean random_search"):
        strategies.load("random_serch")


def test_a_strategy_for_dear_evaluations_is_not_let_loose_on_predictions() -> None:
    guided = StrategyOptions("predictor_guided")
    with pytest.raises(ValidationError, match="predictor_guided would not end on 50000 predictions"):
        SearchOptions(strategy=guided)
    assert SearchOptions(strategy=guided, evaluator="shared_weights").strategy == guided


def test_a_front_is_asked_only_of_a_strategy_that_serves_several_objectives() -> None:
    with pytest.raises(ValidationError, match="ofa_evolution serves one objective, asked for are the metric and macs"):
        SearchOptions(costs=("macs",), strategy=StrategyOptions("ofa_evolution"))
    assert SearchOptions(costs=("macs",), strategy=StrategyOptions("nsga2")).costs == ("macs",)


def test_a_strategy_that_cannot_search_a_space_says_what_it_lacks_and_names_those_that_can(
    additive: Callable[..., Any],
) -> None:
    cells = search_spaces.load("nasbench201")
    strategy, evaluator = strategies.load("optuna_cmaes"), additive(cells)
    with pytest.raises(InputError, match=r"cannot search nasbench201, which lacks choices of numbers: use .*nsga2"):
        Search(evaluator, strategy, [Objective("score")], FeasibleRegion(cells), budget=5, seed=0)
    assert not evaluator.evaluated


def test_a_single_number_is_nothing_to_adapt(toy: Callable[..., Any]) -> None:
    assert strategies.load("optuna_cmaes").lacks(toy(widths=(8,), depths=(2,))) == "choices of numbers"
    assert strategies.load("optuna_cmaes").lacks(toy(widths=(8, 16), depths=(2,))) is None


class Results(SearchSpace):
    """Choices of which there are results alone, as in a table."""

    name = "results"
    choices = (Choice("one", (1, 2)), Choice("other", (1, 2)))

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        raise InputError("no networks to build")


@pytest.mark.parametrize("name", ["eas", "enas", "darts"])
def test_a_strategy_that_looks_at_networks_refuses_a_space_that_has_none(name: str) -> None:
    with pytest.raises(InputError, match=r"cannot search results, which lacks networks to build: use .*nsga2") as error:
        strategies.require_searches(strategies.load(name), Results())
    able = str(error.value).partition(": use ")[2].split(", ")
    assert not {"eas", "enas", "gdas"} & set(able)
    assert {"lemonade", "random_search"} <= set(able)


def test_a_search_without_a_strategy_gets_the_one_for_what_an_evaluation_costs() -> None:
    dear, cheap = (SearchOptions(evaluator=evaluator) for evaluator in ("shared_weights", "predictor"))
    assert dear.load_strategy().for_dear_evaluations
    assert not cheap.load_strategy().for_dear_evaluations
    assert isinstance(SearchOptions(strategy=StrategyOptions("nsga2")).load_strategy(), type(strategies.load("nsga2")))
    with pytest.raises(ValidationError, match="option of strategy ofa_evolution 'sample'"):
        SearchOptions(strategy=StrategyOptions(options={"sample": 3}))
