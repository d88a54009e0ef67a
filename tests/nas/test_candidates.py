"""Which networks are evaluated, and in which order, where a zero-cost proxy has a say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import search_spaces
from latency_predictors.analytic.roofline import Roofline
from latency_predictors.table.latency_table import LatencyTable
from nas.bounds import LATENCY, require_known_metrics
from nas.candidates import find_candidates
from nas.constraint import Constraint
from nas.data import Dataset
from nas.evaluation.shared_weights import SharedWeights
from nas.objectives import FeasibleRegion
from nas.pareto import hypervolume_share
from nas.search_options import SearchOptions, StrategyOptions, WarmStart
from nas.supernet import Supernet
from search_spaces import InputError, SearchSpace


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


WARM_START: Any = {"warm_start": WarmStart("macs", n_drawn=30, n_kept=4), "n_evaluated": 10}


@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(n_predicted=50, n_candidates=2, **WARM_START),
        SearchOptions(evaluator="shared_weights", **WARM_START),
        SearchOptions(evaluator="zero_cost", proxy="n_parameters", n_candidates=2, **WARM_START),
    ],
    ids=lambda options: options.evaluator,
)
def test_a_warm_start_begins_with_the_best_by_a_proxy(
    weights: SharedWeights, tmp_path: Path, options: SearchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = FeasibleRegion(weights.space)
    found = find_candidates(weights, region, tmp_path, options, {}, progress=False)
    journal, metric = ("proxy", "n_parameters") if options.evaluator == "zero_cost" else ("evaluated", "accuracy")
    rows, _ = recorded(tmp_path / f"{journal}.jsonl", metric)
    drawn, _ = recorded(tmp_path / "warm_start.jsonl", "macs")
    assert len(drawn) == 30
    assert rows[:4] == best(tmp_path / "warm_start.jsonl", "macs", 4)
    assert len(rows) == 10
    before = {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    monkeypatch.setattr("nas.candidates.AccuracyPredictor.fit", None)  # that of before is gone on with
    again = find_candidates(weights, region, tmp_path, options, {}, progress=False)
    assert again.kendall == found.kendall
    assert np.array_equal(again.history.population, found.history.population)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.jsonl")} == before


def test_the_best_by_a_proxy_are_evaluated_on_shared_weights(weights: SharedWeights, tmp_path: Path) -> None:
    options = SearchOptions(evaluator="zero_cost", proxy="macs", n_evaluated=25, n_candidates=3)
    found = find_candidates(weights, FeasibleRegion(weights.space), tmp_path, options, {}, progress=False)
    assert found.n_predicted == 25
    assert found.kendall is None
    assert set(found.history.metrics) == set(weights.metrics)
    assert sorted(found.history.population.tolist()) == sorted(best(tmp_path / "proxy.jsonl", "macs", 3))


@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(n_evaluated=10, n_predicted=50),
        SearchOptions(evaluator="shared_weights", n_evaluated=10),
        SearchOptions(evaluator="zero_cost", proxy="n_parameters", n_evaluated=10, n_candidates=2),
    ],
    ids=lambda options: options.evaluator,
)
def test_evaluations_that_all_fail_leave_nothing_to_measure(
    options: SearchOptions, weights: SharedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.evaluation.shared_weights.scores", lambda names, *_: dict.fromkeys(names, float("nan")))
    with pytest.raises(InputError, match="no evaluation gave accuracy, so that no network is left to measure"):
        find_candidates(weights, FeasibleRegion(weights.space), tmp_path, options, {}, progress=False)


def test_a_cost_that_the_latency_model_knows_is_lowered(weights: SharedWeights, tmp_path: Path) -> None:
    options = SearchOptions(
        evaluator="zero_cost", proxy="n_parameters", n_evaluated=20, n_candidates=3, costs=("energy_mj",)
    )
    space, device = weights.space, Roofline()
    require_known_metrics({}, options, {LATENCY: Roofline}, space)
    found = find_candidates(
        weights, FeasibleRegion(space), tmp_path, options, {}, costs=device.cost_models(space), progress=False
    )
    energy_mj = device.cost_models(space)["energy_mj"].predict(found.history.population)
    assert found.history.metrics["energy_mj"].tolist() == energy_mj.tolist()
    with pytest.raises(InputError, match="unknown cost to be lowered 'energy_mj'"):
        find_candidates(weights, FeasibleRegion(space), tmp_path, options, {}, progress=False)
    with pytest.raises(InputError, match=r"search\.costs energy_mj: .* knows latency_ms alone; give --table a"):
        require_known_metrics({}, options, {LATENCY: LatencyTable}, space)
    with pytest.raises(InputError, match="peak_activation_bytes of darts: its networks are no chains of blocks"):
        require_known_metrics(
            {"peak_activation_bytes": "50%"}, SearchOptions(), {LATENCY: Roofline}, search_spaces.load("darts")
        )
    require_known_metrics({"peak_activation_bytes": "50%"}, SearchOptions(), {LATENCY: Roofline}, space)


def test_a_front_is_told_with_the_share_that_it_dominates_of_what_there_could_be(
    weights: SharedWeights, tmp_path: Path
) -> None:
    """From what is worst, at a budget or else at the dearest network's cost, to what is best at the cheapest one's."""
    costs = Roofline().cost_models(weights.space)
    (low_ms, high_ms), (low_mj, high_mj) = (
        (costs[name].cheapest()[0], costs[name].dearest()[0]) for name in ("latency_ms", "energy_mj")
    )
    region = FeasibleRegion(weights.space, [Constraint(costs["latency_ms"], (low_ms + high_ms) / 2)])
    options = SearchOptions(
        evaluator="zero_cost",
        proxy="n_parameters",
        metric="cross_entropy",
        n_evaluated=10,
        n_candidates=3,
        costs=("latency_ms", "energy_mj"),
    )
    found = find_candidates(weights, region, tmp_path, options, {}, costs=costs, progress=False)
    assert found.dominated is not None
    assert found.dominated.reference == {
        "cross_entropy": pytest.approx(np.log(4)),
        "latency_ms": (low_ms + high_ms) / 2,
        "energy_mj": high_mj,
    }
    assert found.dominated.ideal == {"cross_entropy": 0.0, "latency_ms": low_ms, "energy_mj": low_mj}
    worst, best = (np.array([*point.values()]) for point in (found.dominated.reference, found.dominated.ideal))
    values = np.stack([found.history.metrics[metric] for metric in found.dominated.ideal], axis=1)
    assert found.dominated.share == hypervolume_share(-values, -worst, -best)


@pytest.mark.parametrize("make", [WarmStart, lambda proxy: SearchOptions(evaluator="zero_cost", proxy=proxy)])
def test_an_unknown_proxy_is_refused_before_anything_runs(make: type) -> None:
    with pytest.raises(ValidationError, match="unknown zero-cost proxy 'naswat': did you mean naswot"):
        make("naswat")


def test_a_warm_start_that_keeps_more_than_it_draws_is_refused() -> None:
    with pytest.raises(ValidationError, match="keeps 20 of 10 networks drawn: draw more"):
        WarmStart("macs", n_drawn=10)


def test_a_warm_start_that_leaves_a_strategy_no_evaluations_is_refused() -> None:
    with pytest.raises(ValidationError, match="keeps 20 networks leaves none of 20 evaluations to others: keep fewer"):
        SearchOptions(warm_start=WarmStart("macs"), n_evaluated=20)
    SearchOptions(warm_start=WarmStart("macs"), n_evaluated=21)
    SearchOptions(n_evaluated=20)


def test_a_strategy_that_searches_weights_is_given_no_proxy() -> None:
    with pytest.raises(ValidationError, match="searches shared weights, nothing else"):
        SearchOptions(evaluator="zero_cost", strategy=StrategyOptions("darts"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"proxy": "macs"}, "--search.proxy macs does nothing without --search.evaluator zero_cost"),
        (
            {"evaluator": "shared_weights", "n_predicted": 7},
            "--search.n-predicted 7 does nothing without --search.evaluator predictor",
        ),
        (
            {"evaluator": "shared_weights", "n_candidates": 7},
            "--search.n-candidates 7 does nothing without --search.evaluator predictor",
        ),
        ({"n_front": 7}, "--search.n-front 7 does nothing without --search.costs"),
        ({"warm_start": {"n_drawn": 300}}, "a warm start draws and keeps networks by a proxy: name one"),
        ({"costs": ("macs", "macs")}, "macs is an objective twice"),
        ({"costs": ("macs",), "strategy": StrategyOptions("darts")}, "strategy darts serves one objective"),
        ({"metric": "foo"}, "unknown metric 'foo': known: mean_iou, mean_iou_present, accuracy, cross_entropy"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        SearchOptions(**options)
