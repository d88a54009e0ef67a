"""What a campaign counts is what happened; the long way, on a cluster whose head dies."""

from pathlib import Path

import pytest

from experiments.faults.__main__ import FAULTS
from experiments.faults.campaign import Fault, undergo
from experiments.faults.trial import Trial


def search_and_spoil(trial: Trial) -> int:
    """Search, then take the last line off the journal, and evaluate a network once more."""
    trial.search()
    *kept, _ = trial.journal.read_bytes().splitlines(keepends=True)
    trial.journal.write_bytes(b"".join(kept))
    trial.evaluator.evaluate(trial.evaluator.space.encode([trial.evaluator.space.smallest()]))
    trial.evaluator.evaluate(trial.evaluator.space.encode([trial.evaluator.space.smallest()]))
    return 3


def test_what_is_undisturbed_loses_nothing_and_what_is_spoiled_is_found(tmp_path: Path) -> None:
    for refused in (0, 2):
        fault = Fault(lambda trial: trial.search() or 0, seconds=0.0, refused=refused)
        result = undergo("none", fault, tmp_path / str(refused), 12)
        assert result.row()[:-1] == ["none", "12", "0", "0", "0", "0", "identical"]
    result = undergo("spoiled", Fault(search_and_spoil, seconds=0.0), tmp_path / "spoiled", 12)
    assert result.row()[:-1] == ["spoiled", "12", "3", "1", "1", "1", "DIFFERENT"]


@pytest.mark.slow
def test_a_driver_ends_by_itself_without_its_head_and_goes_on_with_the_next(tmp_path: Path) -> None:
    result = undergo("head killed", FAULTS["head killed"], tmp_path / "run", 80)
    assert result.same
    assert not result.lost
