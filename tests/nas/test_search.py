"""A search evaluates each network once, keeps its budget, and after a kill ends as if there had been none."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import search_spaces
from latency_predictors.cost_model import BlockCost
from nas import strategies
from nas.constraint import Constraint
from nas.evaluation.accuracy_predictor import AccuracyPredictor
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.objectives import FeasibleRegion, Limit, Objective, parse_budget
from nas.pareto import Scores
from nas.search import History, Search
from nas.strategy import Proposed, Strategy
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population
from search_spaces.plugins import plugin_class

BUDGET = 40


def load_kind(name: str) -> type[Strategy]:
    return plugin_class(strategies, "strategy", name, Strategy)  # type: ignore[type-abstract]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return search_spaces.load("mobilenet_v3_32", resolutions=(16,))


@pytest.fixture(scope="module")
def region(space: SearchSpace) -> FeasibleRegion:
    model = BlockCost(space, "latency_ms", np.random.default_rng(0).uniform(0.1, 1, len(space.index.blocks)))
    return FeasibleRegion(space, [Constraint(model, parse_budget("40%", model))])


def evolution() -> Strategy:
    return strategies.load("ofa_evolution", population=12)


def search(evaluator: Evaluator, region: FeasibleRegion, journal: Path | None = None, **options: Any) -> History:
    settings = {"strategy": evolution(), "objectives": [Objective("score")], "budget": BUDGET, "seed": 0, **options}
    return Search(evaluator, region=region, journal=journal, **settings).run(progress=False)


def same(one: History, other: History) -> bool:
    return (
        np.array_equal(one.population, other.population)
        and one.metrics.keys() == other.metrics.keys()
        and all(np.array_equal(one.metrics[name], other.metrics[name], equal_nan=True) for name in one.metrics)
    )


class Failing(Evaluator):
    """Another evaluator, whose process is killed at an evaluation."""

    metrics = ("score", "loss")

    def __init__(self, evaluator: Evaluator, fails_at: int, batch_size: int) -> None:
        self.space = evaluator.space
        self.batch_size = batch_size  # type: ignore[misc]
        self._evaluator = evaluator
        self._left = fails_at

    def evaluate(self, population: Population) -> Metrics:
        self._left -= len(population)
        if self._left < 0:
            raise KeyboardInterrupt
        return self._evaluator.evaluate(population)


@dataclasses.dataclass
class Repeating(Strategy):
    """Asks for the same networks again and again, each one several times, or for none at all."""

    n: int = 3
    n_asks: int = 0

    def _ask(self) -> Population:
        self.n_asks += 1
        return self.region.sample(self.n, np.random.default_rng(0)).repeat(4, axis=0)

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        assert len(scores) == len(population)


def test_equal_networks_are_evaluated_once(region: FeasibleRegion, additive: Callable[..., Any]) -> None:
    evaluator = additive(region.space)
    history = search(evaluator, region, strategy=strategies.load("ofa_evolution", population=4))
    assert len(np.unique(history.population, axis=0)) == len(history.population) == len(evaluator.evaluated)
    assert np.array_equal(region.space.canonical(history.population), history.population)


@pytest.mark.parametrize("budget", [1, 7, 40])
def test_the_budget_is_spent_and_kept(region: FeasibleRegion, additive: Callable[..., Any], budget: int) -> None:
    evaluator = additive(region.space)
    history = search(evaluator, region, budget=budget)
    assert len(history.population) == len(evaluator.evaluated) == budget
    assert region.contains(history.population).all()


def test_history_holds_every_metric_and_the_costs(region: FeasibleRegion, additive: Callable[..., Any]) -> None:
    evaluator = additive(region.space)
    history = search(evaluator, region)
    expected = evaluator.evaluate(history.population)
    expected["latency_ms"] = region.constraints[0].model.predict(history.population)
    assert same(history, History(history.population, expected))


@pytest.mark.parametrize("n", [0, 1, 3])
def test_random_networks_take_the_turns_of_a_strategy_with_nothing_new(
    region: FeasibleRegion, additive: Callable[..., Any], n: int
) -> None:
    strategy = Repeating(n)
    history = search(additive(region.space), region, strategy=strategy)
    assert strategy.n_asks < 100
    assert len(np.unique(history.population, axis=0)) == BUDGET
    assert region.contains(history.population).all()
    assert same(search(additive(region.space), region, strategy=Repeating(n)), history)


def test_given_networks_are_evaluated_and_no_others(
    region: FeasibleRegion, additive: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    given = region.space.canonical(region.sample(3, np.random.default_rng(0)))
    assert np.array_equal(search(additive(region.space), region, strategy=Proposed(given)).population, given)
    assert "Proposed has nothing new to propose after 3 of 40 networks" in caplog.text


def test_a_space_smaller_than_the_budget_is_exhausted(toy: Callable[..., Any], additive: Callable[..., Any]) -> None:
    small = toy(widths=(8, 16), depths=(2,))
    history = search(additive(small), FeasibleRegion(small), budget=1000)
    assert np.array_equal(np.unique(history.population, axis=0), small.rows())


def test_a_strategy_that_converges_spends_its_budget_in_a_small_space(
    toy: Callable[..., Any], additive: Callable[..., Any]
) -> None:
    space, strategy = toy(), strategies.load("regularized_evolution", population=5)
    history = search(additive(space), FeasibleRegion(space), strategy=strategy, budget=space.size)
    assert len(history.population) == space.size > 80


def test_an_unknown_metric_is_told_with_the_nearest(region: FeasibleRegion, additive: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="unknown metric 'scores': did you mean score"):
        search(additive(region.space), region, objectives=[Objective("scores")])


def test_the_best_are_first_and_earlier_ones_first_among_equals() -> None:
    history = History(np.arange(5)[:, None], {"score": np.array([1.0, 3.0, np.nan, 3.0, 2.0])})
    assert history.best(10, Objective("score")).tolist() == [1, 3, 4, 0]
    assert history.best(2, Objective("score")).tolist() == [1, 3]
    assert history.best(10, Objective("score", maximise=False)).tolist() == [0, 4, 1, 3]
    slow = History(history.population, {**history.metrics, "ms": np.array([1.0, 9.0, 1.0, 2.0, np.nan])})
    assert slow.best(10, Objective("score"), [Limit("ms", 2.0)]).tolist() == [3, 0]


@pytest.fixture(scope="module")
def unkilled(region: FeasibleRegion, additive: Callable[..., Any], tmp_path_factory: Any) -> tuple[History, bytes]:
    path = tmp_path_factory.mktemp("unkilled") / "journal.jsonl"
    history = search(additive(region.space), region, path)
    assert same(history, search(additive(region.space), region)), "a journal changes nothing"
    return history, path.read_bytes()


@pytest.mark.parametrize("batch_size", [1, 5, 1000])
def test_a_search_killed_at_any_evaluation_ends_as_if_it_had_not_been(
    batch_size: int,
    region: FeasibleRegion,
    additive: Callable[..., Any],
    unkilled: tuple[History, bytes],
    tmp_path: Path,
) -> None:
    expected, journal = unkilled
    for n_done in range(BUDGET):
        path = tmp_path / f"{n_done}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            search(Failing(additive(region.space), n_done, batch_size), region, path)
        n_kept = path.read_bytes().count(b"\n") - 1
        assert n_done - batch_size < n_kept <= n_done
        evaluator = additive(region.space)
        assert same(search(Failing(evaluator, 1000, batch_size), region, path), expected)
        assert path.read_bytes() == journal
        assert len(evaluator.evaluated) == BUDGET - n_kept, "what the journal holds is not evaluated again"


def test_a_journal_cut_anywhere_is_completed(
    region: FeasibleRegion, additive: Callable[..., Any], unkilled: tuple[History, bytes], tmp_path: Path
) -> None:
    expected, journal = unkilled
    path = tmp_path / "journal.jsonl"
    for length in [0, 1, len(journal) - 1, *np.random.default_rng(0).integers(len(journal), size=30)]:
        path.write_bytes(journal[:length])
        assert same(search(additive(region.space), region, path), expected)
        assert path.read_bytes() == journal


def test_a_metric_that_depends_on_the_whole_batch_is_the_same_after_a_kill(
    region: FeasibleRegion, tmp_path: Path
) -> None:
    """The last digits of a matrix product depend on the number of its rows."""
    space, rng = region.space, np.random.default_rng(0)
    population = space.canonical(space.sample(20, rng))
    predictor = AccuracyPredictor.fit(space, population, rng.normal(size=20), seed=0)
    path, objectives = tmp_path / "journal.jsonl", [Objective("predicted_accuracy")]
    expected = search(predictor, region, path, objectives=objectives)
    lines = path.read_bytes().splitlines(keepends=True)
    for n_kept in range(1, len(lines)):
        path.write_bytes(b"".join(lines[:n_kept]))
        assert same(search(predictor, region, path, objectives=objectives), expected)
        assert path.read_bytes() == b"".join(lines)


def test_a_finished_search_is_read_without_evaluating(
    region: FeasibleRegion, additive: Callable[..., Any], unkilled: tuple[History, bytes], tmp_path: Path
) -> None:
    expected, journal = unkilled
    path = tmp_path / "journal.jsonl"
    path.write_bytes(journal)
    evaluator = additive(region.space)
    assert same(search(evaluator, region, path), expected)
    assert not evaluator.evaluated


def test_a_search_may_be_given_more_budget(
    region: FeasibleRegion, additive: Callable[..., Any], unkilled: tuple[History, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    search(additive(region.space), region, path, budget=BUDGET // 2)
    evaluator = additive(region.space)
    assert same(search(evaluator, region, path), unkilled[0])
    assert len(evaluator.evaluated) < BUDGET - BUDGET // 2 + evaluator.batch_size
    assert path.read_bytes() == unkilled[1]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed": 1}, "seed"),
        ({"belongs_to": {"budget": "40%"}}, "budget = None, asked for is '40%'"),
        ({"objectives": [Objective("loss")]}, "objectives.1.metric = 'score', asked for is 'loss'"),
        ({"objectives": [Objective("score", maximise=False)]}, "objectives.1.maximise = True"),
        ({"limits": [Limit("loss", 0.5)]}, "limits.loss = None, asked for is 0.5"),
    ],
)
def test_the_journal_of_another_search_is_refused(
    change: dict[str, Any],
    what: str,
    region: FeasibleRegion,
    additive: Callable[..., Any],
    unkilled: tuple[History, bytes],
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(unkilled[1])
    with pytest.raises(InputError, match=rf"the search in .* was made with {what}") as error:
        search(additive(region.space), region, path, **change)
    assert len(str(error.value).splitlines()) == 1
    assert path.read_bytes() == unkilled[1]


def test_the_journal_of_other_metrics_or_bounds_is_refused(
    region: FeasibleRegion, additive: Callable[..., Any], unkilled: tuple[History, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(unkilled[1])
    with pytest.raises(InputError, match=r"made with metrics = \['score', 'loss'\], asked for is \['score'\]"):
        search(PartlyFailing(region.space), region, path)
    (constraint,) = region.constraints
    other = FeasibleRegion(region.space, [dataclasses.replace(constraint, bound=0.99 * constraint.bound)])
    with pytest.raises(InputError, match=r"made with bounds\.latency_ms\.bound = "):
        search(additive(region.space), other, path)


def test_the_journal_of_another_space_is_refused(
    toy: Callable[..., Any], additive: Callable[..., Any], unkilled: tuple[History, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(unkilled[1])
    with pytest.raises(InputError, match=r"made with space\.name = 'mobilenet_v3_32'"):
        search(additive(toy()), FeasibleRegion(toy()), path)


def test_a_journal_that_another_strategy_wrote_is_refused(
    region: FeasibleRegion, additive: Callable[..., Any], unkilled: tuple[History, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(unkilled[1])
    for other, what in (
        (strategies.load("random_search"), "strategy.name = 'ofa_evolution', asked for is 'random_search'"),
        (strategies.load("ofa_evolution", population=13), "strategy.options.population = 12, asked for is 13"),
    ):
        with pytest.raises(InputError, match=f"was made with {what}") as error:
            search(additive(region.space), region, path, strategy=other)
        assert len(str(error.value).splitlines()) == 1
    assert path.read_bytes() == unkilled[1]


def test_a_journal_does_not_depend_on_where_a_study_is_kept(tmp_path: Path) -> None:
    kept = strategies.load("optuna_tpe", storage=f"sqlite:///{tmp_path}/study.db", study="mine")
    assert kept.to_json() == strategies.load("optuna_tpe").to_json()
    assert kept.to_json() != strategies.load("optuna_tpe", batch=2).to_json()


def test_a_journal_of_another_version_of_a_strategy_is_refused(
    region: FeasibleRegion,
    additive: Callable[..., Any],
    unkilled: tuple[History, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(unkilled[1])
    monkeypatch.setattr(load_kind("ofa_evolution"), "_ask", lambda strategy: strategy.region.sample(3, strategy.rng))
    with pytest.raises(InputError, match="made by another version") as error:
        search(additive(region.space), region, path)
    assert len(str(error.value).splitlines()) == 1
    assert path.read_bytes() == unkilled[1]


class PartlyFailing(Evaluator):
    """Fails for every second network, in one way or another."""

    metrics = ("score",)
    batch_size = 5

    def __init__(self, space: SearchSpace) -> None:
        self.space = space

    def evaluate(self, population: Population) -> Metrics:
        total = population.sum(axis=1)
        return {"score": np.where(total % 2 == 0, total, np.take([np.nan, np.inf, -np.inf], total % 3))}


def test_what_failed_is_recorded_as_null_and_never_best(region: FeasibleRegion, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    history = search(PartlyFailing(region.space), region, path)
    failed = history.population.sum(axis=1) % 2 == 1
    assert 5 < failed.sum() < 35
    assert np.array_equal(np.isnan(history.metrics["score"]), failed)
    recorded = [json.loads(line)["score"] for line in path.read_text().splitlines()[1:]]
    assert [value is None for value in recorded] == failed.tolist()
    for maximise in (True, False):
        best = history.best(BUDGET, Objective("score", maximise))
        assert sorted(best) == np.flatnonzero(~failed).tolist()
    assert same(search(PartlyFailing(region.space), region, path), history)


def test_a_search_begins_with_the_networks_that_it_is_given(
    region: FeasibleRegion, additive: Callable[..., Any], tmp_path: Path
) -> None:
    first = region.sample(15, np.random.default_rng(1))
    expected = np.unique(region.space.canonical(first), axis=0)
    history = search(additive(region.space), region, tmp_path / "journal.jsonl", first=first)
    assert np.array_equal(np.unique(history.population[: len(expected)], axis=0), expected)
    assert len(history.population) == BUDGET
    assert same(search(additive(region.space), region, tmp_path / "journal.jsonl", first=first), history)
    few = search(additive(region.space), region, first=first, budget=3)
    assert np.array_equal(few.population, history.population[:3])


def test_a_search_does_not_begin_outside_of_its_region(region: FeasibleRegion, additive: Callable[..., Any]) -> None:
    largest = region.space.encode([region.space.largest()])
    with pytest.raises(InputError, match=f"cannot begin with {region.space.largest().id}: it exceeds a bound"):
        search(additive(region.space), region, first=largest)
    for first, told in (
        (largest + 9, "expected numbers of options, from 0 to"),
        (-largest - 1, "expected numbers of options, from 0 to"),
        (0.5 * largest, "float64 .*: expected integers"),
        (largest[:, :3], r"int64 \(1, 3\): expected integers \(n, "),
    ):
        with pytest.raises(InputError, match=f"cannot begin with .*{told}"):
            search(additive(region.space), region, first=first)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"budget": float("nan")}, "budget nan: input should be a finite number"),
        ({"budget": 2.5}, "budget 2.5: input should be a valid integer"),
        ({"seed": None}, "seed None: input should be a valid integer"),
        ({"seed": -1}, "seed -1: input should be greater than or equal to 0"),
        ({"ahead": -1}, "ahead -1: input should be greater than or equal to 0"),
        ({"objectives": ["score"]}, "objectives.0 'score': input should be"),
        ({"objectives": [Objective("score"), Objective("score", maximise=False)]}, "score is an objective twice"),
        ({"limits": [Limit("loss", 3), Limit("loss", 5)]}, "limits loss <= 3, loss <= 5: give one a metric"),
        ({"journal": "."}, "journal .*: Is a directory; give a file"),
    ],
)
def test_a_search_that_means_nothing_is_refused_in_one_line(
    options: dict[str, Any], told: str, region: FeasibleRegion, additive: Callable[..., Any]
) -> None:
    evaluator = additive(region.space)
    with pytest.raises(InputError, match=told) as error:
        search(evaluator, region, **{"strategy": strategies.load("nsga2"), **options})
    assert "\n" not in str(error.value)
    assert not evaluator.evaluated


def test_a_limit_that_nothing_keeps_is_told_with_what_is_nearest(
    region: FeasibleRegion, additive: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    history = search(additive(region.space), region, limits=[Limit("loss", -100.0)])
    lowest = f"has loss {history.metrics['loss'].min():.4g}; raise a limit"
    assert "none of 40 networks keeps loss <= -100: the nearest, " in caplog.text
    assert lowest in caplog.text
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("name", [name for name in strategies.names() if load_kind(name).asynchronous])
def test_a_strategy_that_is_ahead_is_told_late_and_in_order(
    name: str, region: FeasibleRegion, additive: Callable[..., Any], tmp_path: Path
) -> None:
    """The journal of one that learns nothing is the same; that of any is gone on with as it began."""
    paths = [tmp_path / f"{ahead}.jsonl" for ahead in (0, 3)]
    for ahead, path in zip((0, 3), paths, strict=True):
        search(additive(region.space), region, path, strategy=strategies.load(name), ahead=ahead)
    rows = [[json.loads(line).get("row") for line in path.read_text().splitlines()] for path in paths]
    assert load_kind(name).learns or rows[0] == rows[1]
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    search(additive(region.space), region, paths[1], strategy=strategies.load(name), ahead=3)
    assert paths[1].read_bytes() == whole


def test_a_strategy_that_must_be_told_is_not_asked_ahead(region: FeasibleRegion, additive: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=r"must be told before it is asked again: leave `ahead` out, or use .*nsga2"):
        search(additive(region.space), region, strategy=strategies.load("local_search"), ahead=1)


class Raising(Evaluator):
    """Raises for some networks, and for all from one evaluation on."""

    metrics = ("score",)
    batch_size = 4

    def __init__(self, space: SearchSpace, broken_from: int = 1000) -> None:
        self.space = space
        self.broken_from = broken_from
        self.n = 0

    def evaluate(self, population: Population) -> Metrics:
        totals = population.sum(axis=1)
        if (totals % 5 == 0).any():
            raise ValueError("five")
        self.n += len(population)
        if self.n > self.broken_from:
            raise ZeroDivisionError("broken")
        return {"score": totals.astype(np.float64)}


def test_networks_that_raise_fail_alone_and_the_search_goes_on(region: FeasibleRegion, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    history = search(Raising(region.space), region, path)
    fails = history.population.sum(axis=1) % 5 == 0
    assert fails.any()
    assert np.array_equal(np.isnan(history.metrics["score"]), fails)
    records = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert [record.get("failure", {}).get("kind", "") for record in records] == [
        f"ValueError at test_search.py:{Raising.evaluate.__code__.co_firstlineno + 3}" if fail else "" for fail in fails
    ]
    assert same(search(Raising(region.space), region, path), history)


def test_a_search_whose_evaluator_breaks_ends_and_goes_on_once_it_is_mended(
    region: FeasibleRegion, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    with pytest.raises(InputError, match="3 evaluations in a row failed alike, ZeroDivisionError at test_search"):
        search(Raising(region.space, broken_from=20), region, path)
    broken = path.read_bytes()
    assert broken.count(b"ZeroDivisionError: broken") == 3
    with pytest.raises(InputError, match="was made with seed = 0, asked for is 1"):
        search(Raising(region.space), region, path, seed=1)
    assert path.read_bytes() == broken, "what is refused is left as it is"
    expected = search(Raising(region.space), region)
    assert same(search(Raising(region.space), region, path), expected)
