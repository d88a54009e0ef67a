"""A training that was killed anywhere ends with the same weights and records as one that was not."""

import dataclasses
import importlib
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import nas.training.checkpoint as checkpoint_module
import search_spaces
from nas.data import Dataset
from nas.supernet import Supernet
from nas.training import SupernetOptions, load_checkpoint, train_supernet
from nas.training.checkpoint import FILE
from nas.training.descent import Descent, Student
from nas.training.sampling import SAMPLINGS
from nas.training.train_supernet import METRICS
from search_spaces import Architecture, InputError, SearchSpace

train_module = importlib.import_module("nas.training.train_supernet")  # its function has the same name

N_STEPS = 9
STEPS_BETWEEN_CHECKPOINTS = 4

every_sampling = pytest.mark.parametrize("sampling", SAMPLINGS)


def options(sampling: str = "sandwich", **others: Any) -> SupernetOptions:
    """Return options of three epochs of three steps, with a checkpoint every four ticks of `clock`."""
    settings = {"epochs": 3, "batch_size": 32, "device": "cpu", "checkpoint_seconds": STEPS_BETWEEN_CHECKPOINTS - 0.5}
    return SupernetOptions(sampling=sampling, **{**settings, **others})


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a second pass whenever the training looks at the clock, which it does once a step."""
    ticks = itertools.count()
    monkeypatch.setattr(train_module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Has the next training stop before its step of a number."""
    real = Descent.descend

    def kill_at(step: int) -> None:
        def descend(descent: Descent, students: Sequence[Student], *, distil: bool) -> float:
            if descent.step == step:
                monkeypatch.setattr(Descent, "descend", real)
                raise KeyboardInterrupt
            return real(descent, students, distil=distil)

        monkeypatch.setattr(Descent, "descend", descend)

    return kill_at


def train(space: SearchSpace, data: Dataset, directory: Path, options: SupernetOptions) -> dict[str, Tensor]:
    supernet = train_supernet(space, data, directory, options, progress=False)
    assert not supernet.training
    return {name: tensor.clone() for name, tensor in supernet.state_dict().items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@dataclasses.dataclass(frozen=True)
class Outcome:
    weights: Mapping[str, Tensor]
    records: bytes


@pytest.fixture(scope="module")
def unkilled(
    tiny: SearchSpace, data: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Outcome, Path]]:
    """Trains without a kill, once for each sampling; returns the outcome and its directory."""
    done: dict[str, tuple[Outcome, Path]] = {}

    def unkilled(sampling: str) -> tuple[Outcome, Path]:
        if sampling not in done:
            directory = tmp_path_factory.mktemp(sampling)
            weights = train(tiny, data, directory, options(sampling))
            done[sampling] = Outcome(weights, (directory / METRICS).read_bytes()), directory
        return done[sampling]

    return unkilled


@every_sampling
def test_a_training_killed_at_any_step_ends_as_if_it_had_not_been(
    sampling: str,
    tiny: SearchSpace,
    data: Dataset,
    unkilled: Callable[[str], tuple[Outcome, Path]],
    kill: Callable[[int], None],
    tmp_path: Path,
) -> None:
    expected, _ = unkilled(sampling)
    # before the first checkpoint, after records of later steps than it, and right after the second
    for step in (3, 7, 8) if sampling == "sandwich" else (7,):
        directory = tmp_path / str(step)
        kill(step)
        with pytest.raises(KeyboardInterrupt):
            train(tiny, data, directory, options(sampling))
        assert (directory / FILE).exists() == (step >= STEPS_BETWEEN_CHECKPOINTS)
        assert same(train(tiny, data, directory, options(sampling)), expected.weights)
        assert (directory / METRICS).read_bytes() == expected.records


def test_a_training_by_adamw_is_resumed_alike(
    tiny: SearchSpace, data: Dataset, kill: Callable[[int], None], tmp_path: Path
) -> None:
    adamw = options(optimizer="adamw", learning_rate=0.002)
    expected = train(tiny, data, tmp_path / "unkilled", adamw)
    kill(7)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, data, tmp_path / "killed", adamw)
    assert same(train(tiny, data, tmp_path / "killed", adamw), expected)


_TRAIN_AND_DIE = """
import json, os, runpy, signal, sys
from pathlib import Path

import torch

from nas.training import SupernetOptions, train_supernet
from nas.training.descent import Descent

conftest, directory, step, options = sys.argv[1:]
descend = Descent.descend


def descend_or_die(descent, *arguments, **named):
    if descent.step == int(step):
        os.kill(os.getpid(), signal.SIGKILL)
    return descend(descent, *arguments, **named)


Descent.descend = descend_or_die
torch.set_num_threads(1)
made = runpy.run_path(conftest)
options = SupernetOptions(**json.loads(options))
train_supernet(made["make_tiny"](), made["make_data"](), Path(directory), options, progress=False)
"""


def test_a_process_that_is_killed_leaves_what_the_next_one_needs(
    tiny: SearchSpace, data: Dataset, unkilled: Callable[[str], tuple[Outcome, Path]], tmp_path: Path
) -> None:
    expected, _ = unkilled("sandwich")
    settings = options(checkpoint_seconds=1e-9)
    conftest = str(Path(__file__).parents[1] / "conftest.py")
    arguments = [conftest, str(tmp_path), "5", json.dumps(dataclasses.asdict(settings))]
    root = Path(__file__).parents[3]
    died = subprocess.run([sys.executable, "-c", _TRAIN_AND_DIE, *arguments], cwd=root, check=False)
    assert died.returncode == -signal.SIGKILL
    assert load_checkpoint(tmp_path)[0].step == 5
    assert same(train(tiny, data, tmp_path, settings), expected.weights)
    assert (tmp_path / METRICS).read_bytes() == expected.records


def test_metrics_tell_step_loss_and_accuracy(unkilled: Callable[[str], tuple[Outcome, Path]]) -> None:
    outcome, directory = unkilled("sandwich")
    records = [json.loads(line) for line in outcome.records.splitlines()]
    assert [(record["step"], record["epoch"]) for record in records] == [(3, 1), (6, 2), (9, 3)]
    assert all(0 <= record[name] <= 1 for record in records for name in ("smallest", "largest"))
    assert all(np.isfinite(record["loss"]) for record in records)
    checkpoint, _ = load_checkpoint(directory)
    assert (checkpoint.step, checkpoint.n_steps) == (N_STEPS, N_STEPS)
    assert same(checkpoint.weights, outcome.weights)


def test_a_finished_training_is_read_without_a_step(
    tiny: SearchSpace, data: Dataset, unkilled: Callable[[str], tuple[Outcome, Path]], kill: Callable[[int], None]
) -> None:
    outcome, directory = unkilled("sandwich")
    kill(N_STEPS)
    assert same(train(tiny, data, directory, options()), outcome.weights)
    assert (directory / METRICS).read_bytes() == outcome.records


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tiny: SearchSpace,
    data: Dataset,
    unkilled: Callable[[str], tuple[Outcome, Path]],
    kill: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Also when the next checkpoint is not written to its end."""
    expected, _ = unkilled("sandwich")
    settings = options(checkpoint_seconds=0.5)
    kill(N_STEPS - 1)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, data, tmp_path, settings)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:5000])
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tiny, data, tmp_path, settings)
    assert same(train(tiny, data, tmp_path, settings), expected.weights)
    assert (tmp_path / METRICS).read_bytes() == expected.records
    assert [record.message.split(" (")[0] for record in caplog.records] == [f"{tmp_path / FILE} is damaged"]


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"options": options(seed=1)}, "seed = 0, asked for is 1"),
        ({"options": options("uniform")}, "sampling = 'sandwich'"),
        ({"options": options("greedy", sampling_options={"kept": 2})}, "sampling = 'sandwich'"),
        ({"data": "other_data"}, "fingerprint = 'quarters 0'"),
        ({"space": {"width": 0.5}}, "width = 0.25"),
    ],
)
def test_the_training_of_something_else_is_refused(
    tiny: SearchSpace,
    data: Dataset,
    unkilled: Callable[[str], tuple[Outcome, Path]],
    request: pytest.FixtureRequest,
    change: Mapping[str, Any],
    what: str,
) -> None:
    _, directory = unkilled("sandwich")
    before = {path: path.read_bytes() for path in directory.iterdir()}
    space = dataclasses.replace(tiny, **change.get("space", {}))  # type: ignore[type-var]
    other = request.getfixturevalue(change["data"]) if "data" in change else data
    with pytest.raises(InputError, match=rf"the training in .* was made with {what}") as error:
        train(space, other, directory, change.get("options", options()))
    assert len(str(error.value).splitlines()) == 1
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_uniform_sampling_trains_what_was_drawn_alone(
    tiny: SearchSpace, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither momentum nor decay moves another slot, not even after accuracy was looked at, as after each step here."""
    states: list[Mapping[str, Tensor]] = []
    trained: list[Architecture] = []
    students = train_module._students

    def watched_students(supernet: Supernet, architectures: Sequence[Architecture]) -> list[Student]:
        states.append({name: parameter.detach().clone() for name, parameter in supernet.store.named_parameters()})
        trained.extend(architectures)
        return students(supernet, architectures)

    monkeypatch.setattr(train_module, "_students", watched_students)
    settings = options("uniform", epochs=8, batch_size=96, weight_decay=0.1)
    train(tiny, data, tmp_path, settings)
    assert len(trained) == len(states) == 8
    for drawn, (before, after) in zip(trained, itertools.pairwise(states), strict=False):
        moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
        assert moved == set(tiny.plan(drawn))
    assert moved != set(tiny.plan(tiny.largest()))


def test_training_improves_the_smallest_and_the_largest(tiny: SearchSpace, data: Dataset, tmp_path: Path) -> None:
    train(tiny, data, tmp_path, options(epochs=6, batch_size=16, learning_rate=0.5))
    *_, last = (json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines())
    assert last["smallest"] > 0.5
    assert last["largest"] > 0.5


@every_sampling
def test_operations_in_slots_of_their_own_are_trained_and_resumed(
    sampling: str, data: Dataset, kill: Callable[[int], None], tmp_path: Path
) -> None:
    """A slot that no step has drawn yet has weights of which the optimiser remembers nothing."""
    cells = search_spaces.load("nasbench201", n_classes=4, cells=1, channels=4, resolution=8)
    of_few = options(sampling, sampling_options={"paths": 2, "kept": 1} if sampling == "greedy" else {})
    whole = train(cells, data, tmp_path / "whole", of_few)
    kill(7)
    with pytest.raises(KeyboardInterrupt):
        train(cells, data, tmp_path / "killed", of_few)
    checkpoint, _ = load_checkpoint(tmp_path / "killed")
    slots = [{name.split(".")[1] for name in state} for state in (checkpoint.weights, checkpoint.optimizer)]
    assert slots[0] > slots[1]
    assert same(train(cells, data, tmp_path / "killed", of_few), whole)


def test_greedy_training_goes_on_with_the_pool_of_the_checkpoint(
    tiny: SearchSpace, unkilled: Callable[[str], tuple[Outcome, Path]]
) -> None:
    _, directory = unkilled("greedy")
    pool = load_checkpoint(directory)[0].sampling
    assert len(pool["rows"]) == len(pool["losses"]) > 5 * N_STEPS
    assert pool["losses"].diff().ge(0).all()
    assert np.array_equal(tiny.canonical(pool["rows"].numpy()), pool["rows"].numpy())


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown sampling 'sandwhich': did you mean sandwich"):
        options("sandwhich")
    with pytest.raises(ValueError, match="unknown training device 'gpu'"):
        options(device="gpu")
    with pytest.raises(ValueError, match="sampling uniform has no options: leave kept out"):
        options("uniform", sampling_options={"kept": 2})
