"""What a searcher of Tune's has to be told of a trial, without a cluster."""

import numpy as np
import pytest

from latency_predictors.cost_model import BlockCost
from nas import strategies
from nas.objectives import FeasibleRegion, Objective
from nas.ray_tune import StrategySearcher
from search_spaces import InputError, SearchSpace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def searcher(space: SearchSpace, *reported: Objective) -> StrategySearcher:
    """Return one that lowers a predicted latency, and then improves what is reported."""
    latency = BlockCost(space, "latency_ms", np.ones(len(space.index.blocks)))
    objectives = [Objective("latency_ms", maximise=False, model=latency), *reported]
    return StrategySearcher(strategies.load("random_search", batch=2), FeasibleRegion(space), objectives)


def test_tune_is_told_of_the_metrics_that_trials_report_and_of_no_predicted_one(tiny: SearchSpace) -> None:
    one = searcher(tiny, Objective("score"))
    assert (one.metric, one.mode) == ("score", "max")
    two = searcher(tiny, Objective("score"), Objective("loss", maximise=False))
    assert (two.metric, two.mode) == (["score", "loss"], ["max", "min"])
    assert not searcher(tiny).metric
    assert one.suggest("1") is not None
    assert one.suggest("2") is not None
    for trial in ("1", "2"):
        one.on_trial_complete(trial, {"score": 0.5})
    assert one.suggest("3") is not None, "the strategy was told of scores and of predicted latencies"


def test_a_trial_that_ends_without_a_metric_is_not_taken_for_one_that_failed(tiny: SearchSpace) -> None:
    one = searcher(tiny, Objective("score"), Objective("loss", maximise=False))
    for trial in ("1", "2"):
        one.suggest(trial)
    with pytest.raises(InputError, match=r"trial 1 ended without loss: have it report that with tune\.report"):
        one.on_trial_complete("1", {"score": 0.5, "los": 0.1, "training_iteration": 1})
    one.on_trial_complete("1", error=True)  # as Tune does where that is raised
    one.on_trial_complete("2", {"training_iteration": 0})  # stopped before its first report
    assert one.suggest("3") is not None
