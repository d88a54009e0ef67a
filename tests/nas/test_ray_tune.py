"""Tune with our strategies and evaluations: the networks of a search of our own, killed or not, and its schedulers."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

import search_spaces
from nas import strategies
from nas.data import Dataset
from nas.executors import ray_cluster
from nas.objectives import FeasibleRegion, Objective
from nas.ray_tune import StrategySearcher, evaluation, training, tuned
from nas.search import Search
from nas.training import TrainingOptions
from search_spaces import SearchSpace
from search_spaces.errors import InputError
from tests.nas.executors.kit import Faulty

SPACE = search_spaces.load("mobilenet_v3_32", resolutions=(16,))
N = 8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray_cluster.connect(None, 2)
    yield
    ray.shutdown()


def searcher() -> StrategySearcher:
    strategy = strategies.load("regularized_evolution", population=6, sample=3, batch=3)
    return StrategySearcher(strategy, FeasibleRegion(SPACE), [Objective("score")], seed=0)


def evaluated(directory: Path) -> set[str]:
    return {path.name.split(".")[0] for path in directory.glob("*.by-*")}


def tuner(evaluator: Faulty, storage: Path, algorithm: Any) -> tune.Tuner:
    return tune.Tuner(
        evaluation(evaluator),
        tune_config=tune.TuneConfig(search_alg=algorithm, num_samples=N, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(storage), name="run", verbose=0),
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The networks of a search without Tune."""
    notes = tmp_path_factory.mktemp("notes")
    strategy = strategies.load("regularized_evolution", population=6, sample=3, batch=3)
    Search(Faulty(SPACE, notes), strategy, [Objective("score")], FeasibleRegion(SPACE), budget=N, seed=0).run(
        progress=False
    )
    return evaluated(notes)


def test_what_tune_restores_after_a_kill_goes_on_to_the_same_networks(expected: set[str], tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    code = f"""
from pathlib import Path
from tests.nas.test_ray_tune import SPACE, Faulty, ray_cluster, searcher, tuner
ray_cluster.connect(None, 2)
tuner(Faulty(SPACE, Path({str(notes)!r}), seconds=0.5), Path({str(tmp_path)!r}), searcher()).fit()
"""
    notes.mkdir()
    root = Path(__file__).parents[2]
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=root, env=os.environ | {"PYTHONPATH": "."})
    while driver.poll() is None and len(evaluated(notes)) < N // 2:
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    assert N // 2 <= len(evaluated(notes)) < N
    trainable = evaluation(Faulty(SPACE, notes))
    results = tune.Tuner.restore(str(tmp_path / "run"), trainable, resume_errored=True).fit()
    assert len(results) == N
    assert not results.errors
    assert evaluated(notes) == expected
    best = results.get_best_result("score", "max")
    assert best.metrics["score"] == max(result.metrics["score"] for result in results)


def test_a_searcher_that_is_restored_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    def tell(one: StrategySearcher, trial: str, config: dict[str, Any]) -> None:
        row = SPACE.encode([config["architecture"]])
        one.on_trial_complete(trial, {"score": float(row.sum())})

    def go_on(one: StrategySearcher, first: int) -> list[Any]:
        configs = []
        for i in range(first, 20):
            configs.append(one.suggest(str(i)))
            tell(one, str(i), configs[-1])
        return configs

    straight, stopped, restored = searcher(), searcher(), searcher()
    for one in (straight, stopped):
        configs = [one.suggest(str(i)) for i in range(3)]
        assert one.suggest("3") is None, "before the first ask is told of"
        for i in (2, 0):
            tell(one, str(i), configs[i])
    stopped.save(str(tmp_path / "state"))
    restored.restore(str(tmp_path / "state"))
    for one in (straight, restored):
        tell(one, "1", configs[1])
    assert go_on(straight, 4) == go_on(restored, 4)


def test_tunes_own_searchers_choose_architectures(tmp_path: Path) -> None:
    tried = tune.Tuner(
        evaluation(Faulty(SPACE, tmp_path / "notes")),
        param_space=tuned(SPACE),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(metric="score", mode="max", seed=0), num_samples=2, reuse_actors=True
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="run", verbose=0),
    ).fit()
    assert not tried.errors
    assert len(evaluated(tmp_path / "notes")) == 2


def test_training_from_the_start_is_stopped_early_where_it_is_worse(
    tiny: SearchSpace, data: Dataset, tmp_path: Path
) -> None:
    strategy = strategies.load("random_search", batch=4)
    algorithm = StrategySearcher(strategy, FeasibleRegion(tiny), [Objective("cross_entropy", maximise=False)])
    tried = tune.Tuner(
        training(tiny, data, TrainingOptions(epochs=3)),
        tune_config=tune.TuneConfig(
            search_alg=algorithm,
            num_samples=3,
            max_concurrent_trials=1,
            reuse_actors=True,
            scheduler=ASHAScheduler(metric="cross_entropy", mode="min", max_t=3, reduction_factor=3),
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="run", verbose=0),
    ).fit()
    assert not tried.errors
    epochs = [result.metrics["training_iteration"] for result in tried]
    assert max(epochs) == 3
    assert min(epochs) < 3
    assert {"accuracy", "cross_entropy", "training_loss"} <= tried.get_best_result(
        "cross_entropy", "min"
    ).metrics.keys()


def test_what_the_strategy_chooses_is_not_said_twice() -> None:
    with pytest.raises(InputError, match="which the strategy chooses"):
        searcher().set_search_properties(None, None, {"architecture": {}})
