"""What these tests search: a space to enumerate, and an objective that is known everywhere."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search_spaces
from nas.evaluation.evaluator import Evaluator, Metrics
from search_spaces import SearchSpace
from search_spaces.plan_index import Population


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
