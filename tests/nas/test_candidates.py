"""Which networks are evaluated, and in which order, where a zero-cost proxy has a say."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from nas.candidates import SearchOptions, StrategyOptions, WarmStart, find_candidates
from nas.data import Dataset
from nas.evaluation.shared_weights import SharedWeights
from nas.objectives import FeasibleRegion
from nas.supernet import Supernet
from search_spaces import SearchSpace


@pytest.fixture(scope="module")
def weights(tiny: SearchSpace, data: Dataset) -> SharedWeights:
    return SharedWeights(Supernet(tiny).eval(), data)


def recorded(journal: Path, metric: str) -> tuple[list[list[int]], list[float]]:
    """Return the networks of a journal and what it says of them."""
    _, *lines = (json.loads(line) for line in journal.read_text().splitlines())
    return [line["row"] for line in lines], [line[metric] for line in lines]


def best(journal: Path, metric: str, n: int) -> list[list[int]]:
    rows, values = recorded(journal, metric)
    return [rows[i] for i in np.argsort(-np.array(values), kind="stable")[:n]]


@pytest.mark.parametrize("evaluator", ["predictor", "shared_weights", "zero_cost"])
def test_a_warm_start_begins_with_the_best_by_a_proxy(weights: SharedWeights, tmp_path: Path, evaluator: str) -> None:
    options = SearchOptions(
        evaluator=evaluator,  # type: ignore[arg-type]
        warm_start=WarmStart("macs", n_drawn=30, n_kept=4),
        proxy="n_parameters",
        n_evaluated=10,
        n_predicted=50,
        n_candidates=2,
    )
    region = FeasibleRegion(weights.space)
    found = find_candidates(weights, region, tmp_path, options, {}, progress=False)
    journal, metric = ("proxy", "n_parameters") if evaluator == "zero_cost" else ("evaluated", "accuracy")
    rows, _ = recorded(tmp_path / f"{journal}.jsonl", metric)
    drawn, _ = recorded(tmp_path / "warm_start.jsonl", "macs")
    assert len(drawn) == 30
    assert rows[:4] == best(tmp_path / "warm_start.jsonl", "macs", 4)
    assert len(rows) == 10
    before = {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    again = find_candidates(weights, region, tmp_path, options, {}, progress=False)
    assert np.array_equal(again.history.population, found.history.population)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")} == before


def test_the_best_by_a_proxy_are_evaluated_on_shared_weights(weights: SharedWeights, tmp_path: Path) -> None:
    options = SearchOptions(evaluator="zero_cost", proxy="macs", n_evaluated=25, n_candidates=3)
    found = find_candidates(weights, FeasibleRegion(weights.space), tmp_path, options, {}, progress=False)
    assert found.n_predicted == 25
    assert found.kendall is None
    assert set(found.history.metrics) == set(weights.metrics)
    assert sorted(found.history.population.tolist()) == sorted(best(tmp_path / "proxy.jsonl", "macs", 3))


@pytest.mark.parametrize("make", [WarmStart, lambda proxy: SearchOptions(proxy=proxy)])
def test_an_unknown_proxy_is_refused_before_anything_runs(make: type) -> None:
    with pytest.raises(ValidationError, match="unknown zero-cost proxy 'naswat': did you mean naswot"):
        make("naswat")


def test_a_warm_start_that_keeps_more_than_it_draws_is_refused() -> None:
    with pytest.raises(ValidationError, match="keeps 20 of 10 networks drawn: draw more"):
        WarmStart("macs", n_drawn=10)


def test_a_strategy_that_searches_weights_is_given_no_proxy() -> None:
    with pytest.raises(ValidationError, match="searches shared weights, nothing else"):
        SearchOptions(evaluator="zero_cost", strategy=StrategyOptions("darts"))
