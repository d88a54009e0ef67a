"""A network is evaluated once, whoever asks for it and whenever; strategies are told apart by what they find."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search_spaces
from experiments.shared_weights import Remembered, Setting, compare, descended, search, summarised, with_options
from nas import strategies
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.objectives import FeasibleRegion, Objective
from nas.strategies.random_search import RandomSearch
from nas.training.checkpoint import FILE as CHECKPOINT
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population
from search_spaces.storage import Journal


class Counting(Evaluator):
    metrics = ("accuracy",)
    batch_size = 1

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.n_evaluated = 0

    def evaluate(self, population: Population) -> Metrics:
        self.n_evaluated += len(population)
        return {"accuracy": population.mean(axis=1)}


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return search_spaces.load("mobilenet_v3_32", resolutions=(16,))


def test_what_was_evaluated_is_read_from_the_file(space: SearchSpace, tmp_path: Path) -> None:
    path, first, second = tmp_path / "evaluated.jsonl", Counting(space), Counting(space)
    population = space.canonical(space.sample(9, np.random.default_rng(0)))
    expected = first.evaluate(population)
    for counting, rows, n_new in ((first, population[:6], 6), (second, population, 3)):
        before = counting.n_evaluated
        with Journal(path) as journal:
            remembered = Remembered(counting, journal, {"supernet": "1"})
            for _ in range(2):
                assert np.array_equal(remembered.evaluate(rows)["accuracy"], expected["accuracy"][: len(rows)])
        assert counting.n_evaluated - before == n_new
    with Journal(path) as journal, pytest.raises(InputError, match="was made with supernet = '1'"):
        Remembered(second, journal, {"supernet": "2"})


def test_what_failed_is_kept_as_null(space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "evaluate", lambda counting, rows: {"accuracy": np.full(len(rows), np.nan)})
    rows = space.canonical(space.sample(1, np.random.default_rng(0)))
    for _ in range(2):
        with Journal(tmp_path / "evaluated.jsonl") as journal:
            assert np.isnan(Remembered(Counting(space), journal, {}).evaluate(rows)["accuracy"]).all()
    assert '"accuracy": null' in (tmp_path / "evaluated.jsonl").read_text().replace('":null', '": null')


def test_the_best_by_validation_examples_is_tested(space: SearchSpace) -> None:
    counting = Counting(space)
    setting = Setting(counting, counting, counting, FeasibleRegion(space), Objective("accuracy"), {})  # type: ignore[arg-type]
    names = ("random_search", "regularized_evolution")
    loaded = with_options({name: strategies.load(name) for name in names}, {})
    found = {name: [search(setting, one, 300, seed) for seed in range(2)] for name, one in loaded.items()}
    for searched, tested in [pair for pairs in found.values() for pair in pairs]:
        assert searched["accuracy"] == tested["accuracy"]
    lines = summarised(setting.sought, found).splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == ["regularized_evolution", "random_search"]


def test_what_a_strategy_keeps_belongs_to_the_table_and_the_budget(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "profile" / "table.json", tmp_path / "train" / CHECKPOINT]
    for file in files:
        file.parent.mkdir()
        file.touch()
    paths, bounds = {"latency_ms": tmp_path / "profile"}, {"latency_ms": 1.5}
    first = descended(tmp_path, paths, bounds)
    wider = {"latency_ms": 2.5}
    assert first | {"budgets": wider} == descended(tmp_path, paths, wider)
    files[0].write_text("another")
    other = descended(tmp_path, paths, bounds)
    assert {name for name in first if first[name] != other[name]} == {"table"}

    told: list[Mapping[str, Any]] = []

    def use(strategy: RandomSearch, weights: object, directory: Path, belongs_to: Any, *, progress: bool) -> None:
        assert not progress
        told.append(belongs_to)

    monkeypatch.setattr(RandomSearch, "use", use)
    counting = Counting(space)
    setting = Setting(counting, counting, counting, FeasibleRegion(space), Objective("accuracy"), other)  # type: ignore[arg-type]
    monkeypatch.setattr("experiments.shared_weights.read_setting", lambda *_: setting)
    unset = dict.fromkeys(("statistics", "optimizer", "learning_rate", "readme"))
    asked = {"strategies": ["random_search"], "evaluations": 2, "seeds": 1, **unset}
    compare(argparse.Namespace(run=tmp_path, output=tmp_path / "out", **asked))
    assert told == [other]


def test_options_go_to_the_strategies_that_have_them() -> None:
    loaded = {name: strategies.load(name) for name in ("gdas", "nsga2")}
    told = with_options(loaded, {"optimizer": "adamw", "learning_rate": None})
    assert told["gdas"] == strategies.load("gdas", optimizer="adamw")
    assert told["nsga2"] == strategies.load("nsga2", population=20)
    loaded = {name: strategies.load(name) for name in ("gdas", "enas", "reinforce", "q_learning")}
    told = with_options(loaded, {"learning_rate": 0.003})
    assert told["gdas"] == strategies.load("gdas", learning_rate=0.003)
    assert told["enas"] == strategies.load("enas", weight_learning_rate=0.003)
    assert told["reinforce"] == loaded["reinforce"]
    assert told["q_learning"] == loaded["q_learning"]
    with pytest.raises(InputError, match="none of reinforce descends weights with an option learning_rate: leave it"):
        with_options({"reinforce": loaded["reinforce"]}, {"learning_rate": 0.003})
    with pytest.raises(InputError, match="none of nsga2 descends weights with an option optimizer: leave it out"):
        with_options({"nsga2": strategies.load("nsga2")}, {"optimizer": "sgd"})
