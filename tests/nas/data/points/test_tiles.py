import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.data.points.clouds import Cloud, HeldFrame
from nas.data.points.tiles import Tile, cut


@given(n=st.integers(1, 300), metres=st.floats(1, 50), seed=st.integers(0, 1000))
def test_every_point_is_in_one_tile(n: int, metres: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cloud = Cloud(rng.uniform(-40, 40, (n, 4)).astype(np.float32), np.arange(n))
    tiles = cut(cloud, metres)
    assert sorted(np.concatenate(list(tiles.values())).tolist()) == list(range(n))
    for (x, y), rows in tiles.items():
        low = np.array([x, y]) * metres
        assert (cloud.points[rows, :2] >= low - 1e-3).all()
        assert (cloud.points[rows, :2] <= low + metres + 1e-3).all()
        again = Tile(HeldFrame("a frame", cloud), (x, y), metres).read()
        assert np.array_equal(again.labels, rows)


def test_a_tile_says_where_it_is() -> None:
    frame = HeldFrame("a.bin", Cloud(np.zeros((1, 4), np.float32), np.zeros(1, np.int64)))
    assert Tile(frame, (-1, 2), 5.0).place == "a.bin, tile (-1, 2)"
