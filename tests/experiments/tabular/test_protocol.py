"""Everything is found by who looks at everything, and never less by who looks at more."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.tabular.nasbench201 import OPERATIONS, accuracies_in, latencies_in, nasbench201_in
from experiments.tabular.protocol import LIMITS, Problem
from experiments.tabular.table import read_table
from nas import strategies
from nas.optuna_study import is_of_numbers

BEST = {"region": 1.0, "table": 1.0, "short": 0.0, "optimum": 1.0}


@pytest.fixture(scope="module")
def problems(folder: Path) -> list[Problem]:
    table = read_table(nasbench201_in(folder), [*accuracies_in(folder), *latencies_in(folder)])
    return [Problem(table, "c10_test_e200", "phone", limit) for limit in (None, *LIMITS)]


def test_operations_are_no_numbers_to_any_strategy(problems: list[Problem]) -> None:
    choices = problems[0].table.space.choices
    assert all(choice.options == OPERATIONS for choice in choices)
    assert not any(map(is_of_numbers, choices))


def test_the_whole_table_holds_all_there_is(problems: list[Problem]) -> None:
    for problem in problems:
        figures = problem.figures(np.arange(15_625))
        assert figures == pytest.approx({name: BEST[name] for name in figures})


@given(places=st.lists(st.integers(0, 15_624), min_size=1, max_size=50), n=st.integers(1, 50))
def test_more_is_never_worse(problems: list[Problem], places: list[int], n: int) -> None:
    for problem in problems:
        some, more = (problem.figures(np.array(part)) for part in (places[:n], places))
        for name, best in BEST.items():
            if name in some:
                assert abs(best - more[name]) <= abs(best - some[name]) + 1e-12


def test_the_front_is_for_strategies_of_several_objectives_limits_for_all(problems: list[Problem]) -> None:
    front, *limited = problems
    assert not front.is_served_by(strategies.load("ofa_evolution"))
    assert front.is_served_by(strategies.load("nsga2"))
    assert all(problem.is_served_by(strategies.load("ofa_evolution")) for problem in limited)


def test_a_search_under_a_limit_comes_closer_than_chance(problems: list[Problem]) -> None:
    for problem in problems[1:]:
        found, drawn = (
            np.mean([problem.figures(problem.search(strategies.load(name), seed, 200))["short"] for seed in range(3)])
            for name in ("regularized_evolution", "random_search")
        )
        assert found < drawn
