"""Dead edges are found, and what a cell computes is described alike whatever they hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.cell_graph import CellGraph

CELL = CellGraph(((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), 5, none=0, identity=1, layers=(2, 3))
ROWS = st.lists(st.integers(0, 4), min_size=6, max_size=6).map(lambda row: np.array([row]))


def test_an_edge_is_live_on_a_path_from_the_first_node_to_the_last() -> None:
    operations = np.array([[3, 0, 0, 1, 0, 2], [3, 2, 4, 0, 0, 3], [3, 3, 3, 0, 0, 0]])
    assert CELL.live(operations).tolist() == [[0, 0, 0, 1, 0, 0], [3, 2, 4, 0, 0, 3], [0] * 6]


@given(ROWS)
def test_dead_edges_change_nothing(row: np.ndarray) -> None:
    live = CELL.live(row)
    assert np.array_equal(CELL.live(live), live)
    assert np.array_equal(CELL.sequences(row), CELL.sequences(live))
    written = slice(4, 12)  # how often operations occur as they are written, and as a converter leaves them
    others = np.delete(CELL.features(np.concatenate([row, live])), written, axis=1)
    assert np.array_equal(*others)


def test_features_are_counted_along_paths() -> None:
    (features,) = CELL.features(np.array([[3, 2, 1, 4, 0, 3]])).tolist()
    counts, paths = [1, 1, 2, 1], [3, 1, 2]  # open: 0-3, 0-2-3, 0-1-2-3
    assert features == [*counts, *counts, *counts, *paths, 2, 4, 1, 2]
    (features,) = CELL.features(np.array([[3, 3, 0, 2, 0, 0]])).tolist()
    assert features[:12] == [0, 1, 0, 0, 0, 1, 2, 0, 0, 1, 0, 0], "live, as written, folded"


def test_isomorphic_cells_have_the_same_sequences_of_operations() -> None:
    one, same, other = CELL.sequences(np.array([[3, 1, 0, 0, 2, 4], [1, 3, 0, 0, 4, 2], [3, 1, 0, 0, 4, 2]]))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.sum() == other.sum() == 2
    twice = CELL.sequences(np.array([[3, 3, 0, 2, 2, 2]]))
    assert sorted(twice[twice > 0]) == [1, 2], "3-2 along two paths, 2 along one"


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ([3, 3, 0, 2, 0, 3], [3, 3, 0, 2, 0, 3]),  # 0-1 is a layer that only products with zero read: computed
        ([4, 3, 0, 2, 0, 3], [0, 3, 0, 2, 0, 3]),  # pooling in its place is not
        ([1, 3, 0, 2, 0, 0], [0, 3, 0, 2, 0, 0]),  # 0-2 is, as node 2 is that layer alone
        ([3, 3, 0, 2, 0, 0], [0, 0, 0, 2, 0, 0]),  # but not if it is added to another
        ([0, 0, 3, 2, 0, 3], [0, 0, 3, 2, 0, 3]),  # a layer of zeros
        ([0, 0, 3, 0, 0, 3], [0, 0, 0, 0, 0, 0]),  # nothing of the input arrives
    ],
)
def test_products_with_zero_are_folded_into_layers(written: list[int], folded: list[int]) -> None:
    assert CELL.folded(np.array([written])).tolist() == [folded]


@given(ROWS)
def test_a_converter_keeps_what_is_live(row: np.ndarray) -> None:
    live, folded = CELL.live(row), CELL.folded(row)
    assert np.all((folded == row) | (folded == CELL.none))
    assert np.all((live == CELL.none) | (folded == row))
