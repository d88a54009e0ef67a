"""Fronts, ranks, crowding and volumes are what their definitions say, computed the slow way."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from nas.pareto import (
    ParetoArchive,
    best_spread,
    constrained_ranks,
    crowding_distances,
    front,
    hypervolume,
    hypervolume_share,
    nondominated_ranks,
)

Scores = NDArray[np.float64]

SCORES = st.integers(1, 4).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(0, 25), st.just(m)), elements=st.integers(0, 6).map(float))
)
WITH_FAILURES = SCORES.flatmap(
    lambda scores: arrays(bool, len(scores)).map(lambda failed: np.where(failed[:, None], np.nan, scores))
)


def dominates(a: Scores, b: Scores) -> bool:
    if np.isnan(b).any():
        return not np.isnan(a).any()
    return bool((a >= b).all() and (a > b).any())


def peeled(scores: Scores) -> list[int]:
    ranks = [-1] * len(scores)
    for rank in itertools.count():
        left = [i for i in range(len(scores)) if ranks[i] < 0]
        if not left:
            return ranks
        for i in [i for i in left if not any(dominates(scores[j], scores[i]) for j in left)]:
            ranks[i] = rank
    raise AssertionError


@given(WITH_FAILURES)
def test_ranks_are_those_of_peeling_one_front_after_the_other(scores: Scores) -> None:
    assert nondominated_ranks(scores).tolist() == peeled(scores)


@given(WITH_FAILURES)
def test_the_front_holds_each_undominated_row_once_and_nothing_that_failed(scores: Scores) -> None:
    found = front(scores)
    assert not np.isnan(scores[found]).any()
    undominated = [i for i, rank in enumerate(peeled(scores)) if rank == 0 and not np.isnan(scores[i]).any()]
    assert {tuple(row) for row in scores[undominated]} == {tuple(row) for row in scores[found]}
    assert len(found) == len(np.unique(scores[found], axis=0))
    assert (np.diff(scores[found, 0]) <= 0).all()


def test_rows_beyond_a_limit_rank_by_how_far_behind_those_that_keep_it() -> None:
    """However good their scores are; equal violations rank equal, and what failed is last."""
    scores = np.array([[9.0, 9.0], [1.0, 2.0], [2.0, 1.0], [0.0, 0.0], [7.0, 7.0], [8.0, 8.0], [-np.inf, -np.inf]])
    violations = np.array([0.5, 0.0, 0.0, 0.0, 0.1, 0.5, np.inf])
    assert constrained_ranks(scores, violations).tolist() == [3, 0, 0, 1, 2, 3, 4]
    assert constrained_ranks(scores[[0, 4]], violations[[0, 4]]).tolist() == [1, 0]


def test_the_least_crowded_of_a_front_are_first_and_fronts_follow_each_other() -> None:
    front_of_five = [[0.0, 10.0], [1.0, 9.0], [4.0, 6.0], [9.0, 1.0], [10.0, 0.0]]
    scores = np.array([[0.0, 0.0], *front_of_five, [20.0, 20.0]])
    violations = np.array([0.0] * 6 + [0.3])
    # neighbours of the middle one are 0.8 apart in both scores, of the one before 0.4, of the one after 0.6
    assert best_spread(scores, violations).tolist() == [1, 5, 3, 4, 2, 0, 6]


@given(WITH_FAILURES)
def test_crowding_is_the_relative_distance_of_neighbours(scores: Scores) -> None:
    ranks = nondominated_ranks(scores)
    expected = np.zeros(len(scores))
    for rank in set(ranks.tolist()):
        members = np.flatnonzero(ranks == rank)
        for column in np.nan_to_num(scores, nan=0.0).T:
            ordered = members[np.argsort(np.where(np.isnan(column), 0, column)[members], kind="stable")]
            expected[ordered[[0, -1]]] = np.inf
            extent = column[ordered[-1]] - column[ordered[0]]
            for before, member, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
                expected[member] += (column[after] - column[before]) / extent if extent else 0
    assert crowding_distances(scores, ranks) == pytest.approx(expected)


@given(WITH_FAILURES)
def test_the_volume_is_that_of_the_unit_cells_below_some_row(scores: Scores) -> None:
    n_objectives = scores.shape[1]
    cells = np.array(list(itertools.product(range(1, 7), repeat=n_objectives)))
    covered = np.zeros(len(cells), bool)
    for row in scores[~np.isnan(scores).any(axis=1)]:
        covered |= (cells <= row).all(axis=1)
    assert hypervolume(scores, np.zeros(n_objectives)) == pytest.approx(covered.sum())


def test_a_volume_is_a_share_of_the_box_between_two_points() -> None:
    """By hand: 4 x 1 and 2 x 3 above the reference share 2 x 1, so that 8 of 5 x 4 are covered."""
    reference, ideal = np.array([1.0, -5.0]), np.array([6.0, -1.0])
    scores = np.array([[5.0, -4.0], [3.0, -2.0], [3.0, -4.5], [np.nan, 0.0], [0.5, -1.0]])
    assert hypervolume(scores, reference) == pytest.approx(8)
    assert hypervolume_share(scores, reference, ideal) == pytest.approx(8 / 20)
    beyond = np.array([[9.0, -4.0]])
    assert hypervolume_share(beyond, reference, ideal) == pytest.approx(1 / 4), "it counts as 6, -4"
    assert hypervolume_share(scores[:0], reference, ideal) == 0
    assert hypervolume_share(scores, reference, reference) == 0


@given(WITH_FAILURES, st.integers(1, 5))
def test_an_archive_filled_in_parts_holds_the_front_of_all(scores: Scores, size: int) -> None:
    archive = ParetoArchive(1, scores.shape[1])
    rows = np.arange(len(scores))[:, None]
    for start in range(0, len(scores), size):
        archive.add(rows[start : start + size], scores[start : start + size])
    kept = front(scores)
    assert np.array_equal(archive.scores, scores[kept])
    assert np.array_equal(archive.scores, scores[archive.population[:, 0]])
