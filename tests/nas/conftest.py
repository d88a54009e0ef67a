"""What these tests search and train: small spaces, a known objective, images made on the spot; and the command line."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import search_spaces
from nas.cli import main
from nas.data import DataOptions, Dataset
from nas.data.images.dataset import ImageDataset
from nas.data.images.images import Images
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.remote.working_copy import discard
from search_spaces import SearchSpace
from search_spaces.plan_index import Population

COMMAND = (sys.executable, "-c", "from nas.cli import main; main()")
"""To be followed by a verb, for a process of its own."""


@dataclass
class Done:
    """What a command ended with."""

    returncode: int
    stdout: str
    stderr: str


Nas = Callable[..., Done]


@pytest.fixture
def nas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nas:
    """Runs a command in this process: in one of its own, loading torch would take longer than all that is tested."""

    def run(*arguments: str | Path, cwd: Path | None = None) -> Done:
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        monkeypatch.chdir(cwd or Path.cwd())
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def own_copies() -> Iterator[None]:
    """Working copies of URLs end with the test, as they do with a process."""
    yield
    discard()


@pytest.fixture(scope="module")
def toy() -> Iterator[Callable[..., Any]]:
    """Loads the space of `tests/nas/spaces/toy.py` with the given options."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(Path(__file__).parent / "spaces")
        patch.setattr(search_spaces.spaces, "__path__", [*search_spaces.spaces.__path__, folder])
        yield lambda **options: search_spaces.load("toy", **options)


class Additive(Evaluator):
    """A score that is the sum of a random value for each option, and a loss that is its negative.

    Attributes:
        evaluated: every row, in the order in which it was evaluated.
    """

    metrics = ("score", "loss")
    batch_size = 7

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        self.space = space
        self.evaluated: list[list[int]] = []
        self._values = np.random.default_rng(seed).normal(size=int(space.n_options.sum()))

    def evaluate(self, population: Population) -> Metrics:
        self.evaluated += population.tolist()
        score = (self.space.one_hot(population) * self._values).sum(axis=1)  # a product's digits depend on the batch
        return {"score": score, "loss": -score}


@pytest.fixture(scope="session")
def additive() -> type[Additive]:
    """The evaluator, to be made for a space and a seed."""
    return Additive


def make_images(n: int, seed: int) -> Images:
    """Return noise images (n, 3, 16, 16), each brighter in the quarter that its label, from 0 to 3, says."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 160, (n, 3, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.arange(n) % 4
    for quarter in range(4):
        top, left = divmod(quarter, 2)
        pixels[labels == quarter, :, 8 * top : 8 * top + 8, 8 * left : 8 * left + 8] += 60
    return Images(labels, pixels)


def unread() -> Images:
    raise AssertionError("only the final report may look at the test images")


def make_data(seed: int = 0) -> Dataset:
    """Return a data set of four classes, whose test part must not be read."""
    return ImageDataset(
        name="quarters",
        options=DataOptions(source="quarters"),
        classes=("a", "b", "c", "d"),
        train=make_images(96, 2 * seed),
        validation=make_images(48, 2 * seed + 1),
        mean=(0.35, 0.35, 0.35),
        std=(0.2, 0.2, 0.2),
        flip=False,
        fingerprint=f"quarters {seed}",
        test_reader=unread,
    )


def make_tiny() -> SearchSpace:
    """Return a space of networks that train on such images in milliseconds."""
    return search_spaces.load("mobilenet_v3_32", resolutions=(12, 16), width=0.25, n_classes=4)


@pytest.fixture(scope="session")
def data() -> Dataset:
    return make_data()


@pytest.fixture(scope="session")
def other_data() -> Dataset:
    return make_data(1)


@pytest.fixture(scope="session")
def tiny() -> SearchSpace:
    return make_tiny()
