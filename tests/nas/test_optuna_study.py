"""A study that is kept shows the search, in the metrics' own signs, and is made anew when the search goes on."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import search_spaces
from latency_predictors.cost_model import BlockCost
from nas import strategies
from nas.constraint import Constraint
from nas.objectives import FeasibleRegion, Limit, Objective
from nas.optuna_study import OptunaStrategy
from nas.search import History, Search
from search_spaces import InputError

BUDGET = 13  # the tree-structured estimator begins after ten


@pytest.fixture
def region() -> FeasibleRegion:
    return FeasibleRegion(search_spaces.load("mobilenet_v3_32"))


def search(
    region: FeasibleRegion, additive: Callable[..., Any], name: str = "optuna_tpe", budget: int = BUDGET, **options: Any
) -> History:
    objectives = [Objective("loss", maximise=False)]
    strategy = strategies.load(name, **options)
    return Search(additive(region.space), strategy, objectives, region, budget=budget, seed=0).run(progress=False)


def trials(storage: str, study: str = "nas") -> list[optuna.trial.FrozenTrial]:
    found = optuna.load_study(study_name=study, storage=storage).trials
    return [trial for trial in found if trial.state == optuna.trial.TrialState.COMPLETE]


def test_a_study_holds_what_was_evaluated(
    region: FeasibleRegion, additive: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(optuna.storages.RDBStorage, "set_trial_param")  # trials are written whole, not bit by bit
    storage = f"sqlite:///{tmp_path}/study.db"
    history = search(region, additive, storage=storage)
    found = trials(storage)
    assert [trial.value for trial in found] == pytest.approx(history.metrics["loss"].tolist())
    names = [choice.name for choice in region.space.choices]
    rows = np.array([[trial.params[name] for name in names] for trial in found])
    assert np.array_equal(region.space.canonical(rows), history.population)
    assert optuna.load_study(study_name="nas", storage=storage).best_value == history.metrics["loss"].min()


def test_a_search_that_goes_on_makes_its_study_anew(
    region: FeasibleRegion, additive: Callable[..., Any], tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    search(region, additive, storage=storage, budget=11)
    search(region, additive, storage=storage)
    search(region, additive, storage=f"sqlite:///{tmp_path}/other.db")
    assert len(trials(storage)) == BUDGET
    for one, other in zip(trials(storage), trials(f"sqlite:///{tmp_path}/other.db"), strict=True):
        assert (one.params, one.values) == (other.params, other.values)


def test_the_study_of_another_search_is_left_alone(
    region: FeasibleRegion, additive: Callable[..., Any], tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(storage=storage, study_name="nas").optimize(lambda trial: trial.suggest_float("x", 0, 1), 3)
    with pytest.raises(InputError, match="holds a study 'nas' of another search: give this one another name"):
        search(region, additive, storage=storage)
    assert len(trials(storage)) == 3
    search(region, additive, storage=storage, study="mine", budget=5)
    assert len(trials(storage, "mine")) == 5


def test_a_search_that_differs_in_anything_leaves_the_study_alone(
    region: FeasibleRegion, additive: Callable[..., Any], tmp_path: Path
) -> None:
    """In its bound, its strategy's options or the weights it looks at, which a caller names in `belongs_to`."""
    storage = f"sqlite:///{tmp_path}/study.db"
    model = BlockCost(region.space, "latency_ms", np.ones(len(region.space.index.blocks)))
    loose, tight = (FeasibleRegion(region.space, [Constraint(model, share * model.dearest()[0])]) for share in (1, 0.9))

    def run(region: FeasibleRegion, weights: str = "these", **options: Any) -> None:
        strategy = strategies.load("optuna_nsga2", storage=storage, **options)
        objectives, belongs_to = [Objective("score")], {"weights": weights}
        evaluator = additive(region.space)
        Search(evaluator, strategy, objectives, region, budget=3, seed=0, belongs_to=belongs_to).run(progress=False)

    run(loose)
    for change in ({"region": tight}, {"weights": "others"}, {"batch": 2}):
        with pytest.raises(InputError, match=r"holds a study 'nas' of another search: .* option study=NAME"):
            run(**{"region": loose, **change})
        assert len(trials(storage)) == 3
    run(tight, study="tight")
    run(loose)
    assert len(trials(storage)) == len(trials(storage, "tight")) == 3


@pytest.mark.parametrize(
    "storage",
    [
        *("sqlite", "study.db", "sqlite:/study.db", "sqlite://study.db", "redis://x", "no-such-thing://x"),
        *("sqlite:////no/such/folder/study.db", "mssql+pymssql://x"),
    ],
)
def test_a_storage_that_is_no_database_is_refused_before_a_search(storage: str) -> None:
    with pytest.raises(
        InputError, match=f"in {re.escape(storage)}: expected the URL of a database, such as sqlite:///study"
    ):
        strategies.load("optuna_tpe", storage=storage)


def test_a_storage_that_cannot_be_used_is_told(
    region: FeasibleRegion, additive: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"optuna cannot keep a study in sqlite:///{tmp_path}: "):
        search(region, additive, storage=f"sqlite:///{tmp_path}")


@pytest.mark.parametrize(("name", "budget"), [("optuna_tpe", 100), ("optuna_nsga2", 300)])
def test_samplers_learn_what_limits_mean(
    name: str, budget: int, region: FeasibleRegion, additive: Callable[..., Any]
) -> None:
    """A limit that one of ten random networks keeps is kept far more often by what is proposed last."""
    evaluator = additive(region.space)
    rows = region.space.sample(1000, np.random.default_rng(0))
    limit = Limit("loss", float(np.quantile(evaluator.evaluate(rows)["loss"], 0.1)))
    objectives = [Objective("score", maximise=False)]
    history = Search(evaluator, strategies.load(name), objectives, region, limits=[limit], budget=budget, seed=0).run(
        progress=False
    )
    assert (history.metrics["loss"][-50:] <= limit.at_most).mean() > 0.25


def test_a_suggestion_that_waits_already_is_not_called_bad(region: FeasibleRegion) -> None:
    """Of equal suggestions one is evaluated; the other says nothing, least of all that its network is the worst."""
    strategy = strategies.load("optuna_nsga2", batch=3)
    assert isinstance(strategy, OptunaStrategy)
    strategy.begin(region, [Objective("score")], 0)
    asked = strategy.ask()
    strategy.tell(asked, np.arange(3.0)[:, None])
    suggested = iter(
        region.space.canonical(region.space.sample(30, np.random.default_rng(0)))[[0, 0, 1, 2, *range(3, 30)]]
    )
    strategy._row = lambda trial: next(suggested)[None]  # type: ignore[method-assign]
    strategy.ask()
    states = [trial.state for trial in strategy._study.trials[3:]]
    assert states == [TrialState.RUNNING, TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING]


def test_several_objectives_with_cma_es_are_refused(region: FeasibleRegion, additive: Callable[..., Any]) -> None:
    objectives = [Objective("score"), Objective("loss", maximise=False)]
    with pytest.raises(InputError, match="optuna_cmaes serves one objective"):
        Search(additive(region.space), strategies.load("optuna_cmaes"), objectives, region, budget=10, seed=0)
