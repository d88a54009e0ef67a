from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data.points.clouds import Cloud, HeldFrame
from nas.data.points.partition import BLOCK_TILES, partition
from nas.data.points.scanning import Example
from nas.data.points.tiles import Key
from search_spaces.errors import InputError

CLOUD = Cloud(np.zeros((1, 4), np.float32), np.zeros(1, np.int64))


def examples(origins: Sequence[int], tiles: Sequence[Key | None], seed: int = 0) -> list[Example]:
    rng = np.random.default_rng(seed)
    frames = [HeldFrame(f"{origin} {tile}", CLOUD) for origin, tile in zip(origins, tiles, strict=True)]
    return [
        Example(frame, frame, origin, tile, 100, rng.integers(0, 50, 5), bytes([i]))
        for i, (frame, origin, tile) in enumerate(zip(frames, origins, tiles, strict=True))
    ]


def divided(
    found: Sequence[Example],
    settled: Sequence[str | None],
    fraction: float = 0.2,
    seed: int = 0,
    with_test: bool = True,
):
    return partition(found, settled, with_test=with_test, validation_fraction=fraction, split_seed=seed)


@given(n=st.integers(3, 60), fraction=st.floats(0.05, 0.45), seed=st.integers(0, 100))
def test_parts_are_disjoint_whole_and_follow_the_seed(n: int, fraction: float, seed: int) -> None:
    found = examples(range(n), [None] * n)
    parts = divided(found, [None] * n, fraction, seed)
    assert sorted(e.digest for part in parts.values() for e in part) == sorted(e.digest for e in found)
    assert all(parts.values())
    assert parts == divided(found, [None] * n, fraction, seed)


def test_the_test_part_depends_on_no_option() -> None:
    found = examples(range(30), [None] * 30)
    tests = [divided(found, [None] * 30, fraction, seed)["test"] for fraction in (0.1, 0.4) for seed in (0, 1)]
    assert all(part == tests[0] for part in tests)
    assert divided(found, [None] * 30, seed=0)["validation"] != divided(found, [None] * 30, seed=1)["validation"]


def test_tiles_of_one_frame_stay_in_the_part_of_their_block() -> None:
    tiles = [(x, y) for x in range(-6, 4) for y in range(-4, 4)]
    parts = divided(examples([0] * len(tiles), tiles), [None])
    part_of = {example.tile: part for part, found in parts.items() for example in found}
    for x, y in tiles:
        first = (x // BLOCK_TILES * BLOCK_TILES, y // BLOCK_TILES * BLOCK_TILES)
        assert part_of[x, y] == part_of[first]
    assert set(part_of.values()) == {"train", "validation", "test"}


def test_tiles_of_several_frames_stay_in_the_part_of_their_frame() -> None:
    tiles = [(x, y) for x in range(4) for y in range(4)]
    origins = [origin for origin in range(6) for _ in tiles]
    parts = divided(examples(origins, tiles * 6), [None] * 6)
    frames = [{example.origin for example in found} for found in parts.values()]
    assert sum(map(len, frames)) == len(set.union(*frames)) == 6


def test_points_are_shared_out_evenly() -> None:
    found = examples(range(40), [None] * 40)
    parts = divided(found, [None] * 40, fraction=0.25)
    total = np.sum([e.histogram for e in found], axis=0)
    test = np.sum([e.histogram for e in parts["test"]], axis=0)
    assert np.abs(test / total - 0.2).max() < 0.05


def test_what_is_settled_stays() -> None:
    settled = ["train", "validation", "test", "train"]
    parts = divided(examples(range(4), [None] * 4), settled)
    assert {part: [e.origin for e in found] for part, found in parts.items()} == {
        "train": [0, 3],
        "validation": [1],
        "test": [2],
    }


def test_with_separate_test_data_what_would_test_is_trained_on() -> None:
    parts = divided(examples(range(4), [None] * 4), ["train", "validation", "test", "train"], with_test=False)
    assert {part: [e.origin for e in found] for part, found in parts.items()} == {"train": [0, 2, 3], "validation": [1]}


@pytest.mark.parametrize(("n", "with_test"), [(1, False), (2, True)])
def test_too_few_frames_are_refused(n: int, with_test: bool) -> None:
    with pytest.raises(InputError, match=rf"^{n} frames, or blocks .* are too few to train, validate and test"):
        divided(examples(range(n), [None] * n), [None] * n, with_test=with_test)
