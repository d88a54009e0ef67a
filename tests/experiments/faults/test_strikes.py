"""A strike counts if it has struck."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from experiments.faults import strikes
from experiments.faults.trial import Trial, wait_until


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """A search in the middle of which this process evaluates."""
    trial = Trial(tmp_path, 12, seconds=0.0)
    notes = [f"{i}.ended-1-{i}" for i in range(10)]
    for note in [*notes, f"10.begun-{os.getpid()}-0"]:
        (trial.evaluator.directory / note).touch()
    return trial


def test_a_note_that_an_evaluation_takes_is_a_strike(trial: Trial) -> None:
    with ThreadPoolExecutor(1) as beside:
        struck = beside.submit(strikes.hang, trial, Cluster())
        wait_until(lambda: struck.done() or trial.evaluator._told("hang") is not None)
        assert struck.result() == 1


@pytest.mark.parametrize("strike", [strikes.hang, strikes.exhaust_node, strikes.kill_node])
def test_what_comes_when_the_search_is_over_is_none(trial: Trial, strike: strikes.Strike) -> None:
    trial.over.touch()
    assert strike(trial, Cluster()) == 0
