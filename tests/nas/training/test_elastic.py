"""A training on several processes goes on when one of them is killed, and gives up in one line when that is no use."""

import dataclasses
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import start_processes

from nas.data import Dataset
from nas.training import SupernetOptions, elastic, load_checkpoint, train_supernet
from nas.training.checkpoint import FILE
from nas.training.elastic import train_elastically
from nas.training.train_supernet import METRICS
from search_spaces import InputError, SearchSpace
from tests.nas.training import dying

CPU = torch.device("cpu")
OPTIONS = SupernetOptions(
    epochs=9, batch_size=96, device="cpu", sampling="uniform", learning_rate=0.01, checkpoint_seconds=1e-9, ranks=2
)

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has ranks begin at once, without importing anything."""
    monkeypatch.setattr(elastic, "start_processes", partial(start_processes, start_method="fork"))


@pytest.mark.usefixtures("forked")
def test_a_killed_rank_costs_the_steps_since_the_last_checkpoint_and_changes_nothing(
    tiny: SearchSpace,
    data: Dataset,
    tmp_path: Path,
    on_ranks: Callable[[int, Callable[[], Any]], list[Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nor do ranks in number: what two began, one goes on with."""
    quiet, killed, alone = (tmp_path / name for name in ("quiet", "killed", "alone"))
    train_elastically(partial(dying.train, killed, OPTIONS), 2, CPU, killed / FILE)
    assert [re.sub("training on 2 ranks: ", "", record.message) for record in caplog.records] == [
        "rank 1 was killed by SIGKILL; all begin anew from the last checkpoint"
    ]
    on_ranks(2, partial(_train, tiny, data, quiet, OPTIONS))
    assert (killed / METRICS).read_bytes() == (quiet / METRICS).read_bytes()
    checkpoints = [load_checkpoint(directory)[0].weights for directory in (killed, quiet)]
    assert all(torch.equal(checkpoints[0][name], checkpoints[1][name]) for name in checkpoints[1])
    of_one = dataclasses.replace(OPTIONS, ranks=1)
    train_supernet(tiny, data, quiet, of_one, progress=False)  # finished, and so refused unless it is the same
    train_supernet(tiny, data, alone, of_one, progress=False)
    curves = [
        [json.loads(line)["loss"] for line in (directory / METRICS).read_text().splitlines()]
        for directory in (quiet, alone)
    ]
    assert len(curves[0]) == 9
    assert curves[0] == pytest.approx(curves[1], abs=1e-5)


def _train(space: SearchSpace, data: Dataset, directory: Path, options: SupernetOptions) -> None:
    train_supernet(space, data, directory, options, progress=False)


@pytest.mark.usefixtures("forked")
def test_ranks_that_die_again_and_again_end_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = r"training on 1 ranks: rank 0 failed \(MemoryError: no more of it\), and so 3 times without a new checkpoint"
    with pytest.raises(InputError, match=said):
        train_elastically(partial(dying.die, tmp_path), 1, CPU, tmp_path / FILE)
    assert len(list(tmp_path.iterdir())) == 3
    assert len(caplog.records) == 2


def test_what_a_rank_refuses_is_not_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError, match=r"^the learning rate is too high$"):
        train_elastically(dying.refuse, 2, CPU, tmp_path / FILE)
    assert caplog.records == []


def test_more_ranks_than_examples_are_refused(tiny: SearchSpace, data: Dataset, tmp_path: Path) -> None:
    options = SupernetOptions(batch_size=4, device="cpu", ranks=5)
    with pytest.raises(InputError, match="a batch of 4 images is shared by 5 ranks: say fewer ranks"):
        train_supernet(tiny, data, tmp_path, options, progress=False)


def test_ranks_on_one_card_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match="training device 'cuda:1' is one, ranks are 2: say cuda, or one rank"):
        SupernetOptions(device="cuda:1", ranks=2)
