"""Training, validation and test examples, cut by frames, or by blocks of tiles where there is one frame."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.data.parts import TEST_FRACTION, TEST_SEED
from nas.data.points.scanning import Example
from search_spaces.errors import InputError

# so that a tile at the border of a part, where its neighbours are in another one, has some in its own
BLOCK_TILES = 2
# random cuts of which the most even one is taken
_N_DRAWS = 512


def partition(
    examples: Sequence[Example],
    settled: Sequence[str | None],
    *,
    with_test: bool,
    validation_fraction: float,
    split_seed: int,
) -> Mapping[str, list[Example]]:
    """Return the 'train' and 'validation' examples, and if wanted the 'test' examples.

    What belongs together stays together: the tiles of a frame or, where there is one frame, of a block.

    Args:
        examples: to be divided.
        settled: by the number of a frame, the part that it belongs to if that is settled.
        with_test: whether a test part is wanted; without one, what is settled as 'test' is trained on.
        validation_fraction: share of what remains after the test part, unless validation frames are settled.
        split_seed: of the cut between training and validation.

    Raises:
        InputError: there are too few frames or blocks for all parts.
    """
    unit = _units(examples)
    parts = [settled[example.origin] for example in examples]
    fractions = {"test": (TEST_FRACTION, TEST_SEED)} if with_test else {}
    fractions["validation"] = (validation_fraction, split_seed)
    missing = {part: cut for part, cut in fractions.items() if part not in parts}
    free = np.array([part is None for part in parts])
    n_units = len(np.unique(unit[free]))
    if missing and n_units <= len(missing):
        raise InputError(
            f"{n_units} frames, or blocks of {BLOCK_TILES}x{BLOCK_TILES} tiles of one frame, are too few to train, "
            f"validate and test on different ones ({len(missing) + 1} the fewest): add some or lower --data.tile-metres"
        )
    for part, (fraction, seed) in missing.items():
        remaining = [i for i, known in enumerate(parts) if known is None]
        histograms = np.array([examples[i].histogram for i in remaining])
        for i in itertools.compress(remaining, _even_cut(unit[remaining], histograms, fraction, seed)):
            parts[i] = part
    wanted = ("train", "validation", *(("test",) if with_test else ()))
    placed = [part if part in wanted else "train" for part in parts]
    return {part: [e for e, p in zip(examples, placed, strict=True) if p == part] for part in wanted}


def _units(examples: Sequence[Example]) -> NDArray[np.int64]:
    """Return for each example the number of what it may not be separated from: its frame, or its block of tiles."""
    origins = np.array([example.origin for example in examples])
    tiles = [example.tile for example in examples]
    if len(np.unique(origins)) > 1 or None in tiles:
        return origins
    _, unit = np.unique(np.array(tiles) // BLOCK_TILES, axis=0, return_inverse=True)
    return unit.reshape(-1)


def _even_cut(unit: NDArray[np.int64], histograms: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return (examples,): which to cut off, of many random choices of units the one that shares out points most evenly.

    Points are shared out evenly if of each class the same fraction is cut off; large classes count for more, but not by
    as much as they are larger.
    """
    units, index = np.unique(unit, return_inverse=True)
    counts = np.zeros((len(units), histograms.shape[1]))
    np.add.at(counts, index, histograms)
    counts = counts[:, counts.any(axis=0)]
    weights = np.sqrt(counts.sum(axis=0))
    rng = np.random.default_rng(seed)
    # units differ in size, so how many of them make up the fraction is left open
    fewest, most = max(1, int(len(units) * fraction / 2)), max(1, min(int(len(units) * fraction * 2), len(units) - 1))
    n_cut = rng.integers(fewest, most + 1, _N_DRAWS)
    rank = rng.random((_N_DRAWS, len(units))).argsort(axis=1).argsort(axis=1)
    draws = (rank < n_cut[:, None]).astype(np.float32)
    shares = draws @ counts / counts.sum(axis=0)
    chosen = draws[(np.abs(shares - fraction) @ weights).argmin()]
    cut: NDArray[np.bool_] = chosen[index] > 0
    return cut
