"""The scale on which a model sees scores keeps their order, and the worst do not set it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.surrogate import Warp

SCORES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40).map(np.array)


@given(SCORES)
def test_order_is_kept(scores: np.ndarray) -> None:
    warped = Warp(scores)(np.sort(scores))
    assert np.isfinite(warped).all()
    assert (np.diff(warped) >= 0).all()


@given(SCORES)
def test_the_better_half_is_as_it_was(scores: np.ndarray) -> None:
    better = np.sort(scores[scores >= np.median(scores)])
    warped = Warp(scores)(better)
    if np.ptp(better) > 1e-3:
        steps = (warped - warped[0]) / np.ptp(warped), (better - better[0]) / np.ptp(better)
        assert np.allclose(*steps, atol=1e-3)


def test_a_network_that_does_not_work_sets_no_scale() -> None:
    scores = np.append(np.linspace(90, 94, 50), 10.0)
    assert Warp(scores)(scores).min() > -3


def test_of_costs_ratios_count() -> None:
    costs = -np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    warped = Warp(costs, relative=True)(np.array([-1.0, -2.0, -4.0, -0.5]))
    assert np.allclose(np.diff(warped[:3]), np.diff(warped[:3])[0])
    assert warped[3] > warped[0]
    assert np.isfinite(Warp(np.append(costs, 0.0), relative=True)(costs)).all()
