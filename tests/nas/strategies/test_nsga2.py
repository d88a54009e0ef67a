"""Parents are winners of tournaments: by front, then by how alone they are in it."""

import numpy as np
import pytest

from nas import strategies
from nas.objectives import FeasibleRegion, Objective
from nas.strategies.nsga2 import NSGA2
from search_spaces import SearchSpace


def test_the_better_of_two_that_are_drawn_is_a_parent(tiny: SearchSpace) -> None:
    """Of three networks the best wins unless it is not drawn, and the last only against itself."""
    strategy = strategies.load("nsga2")
    assert isinstance(strategy, NSGA2)
    strategy.begin(FeasibleRegion(tiny), [Objective("score"), Objective("loss")], 0)
    worst, beyond, best = rows = np.eye(3, len(tiny.choices), dtype=np.int64)
    strategy.tell(rows, np.array([[0.0, 0.0], [9.0, 9.0], [1.0, 1.0]]), np.array([0.0, 0.5, 0.0]))
    parents = strategy._parents(9000)
    shares = [(parents == row).all(axis=1).mean() for row in (best, worst, beyond)]
    assert shares == pytest.approx([5 / 9, 3 / 9, 1 / 9], abs=0.02)
