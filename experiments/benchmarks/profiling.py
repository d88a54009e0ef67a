"""How the error of a latency table grows when only some of its blocks are measured and the others interpolated.

    python -m experiments.benchmarks.profiling --table tables/here --shares 1 0.5 0.25 0.1

Takes a finished table of `nas profile`, forgets blocks of it, and predicts them again: by a Gaussian process on the
logarithms of what a block computes and moves and of its fields, and by boosted trees on the same. Of each kind of block
one at least is kept, and twenty in all; `measured` is that share. Errors are means over draws of what is kept: of the
forgotten blocks, and of the table, which is calibrated anew, on its held-out networks, for these also the worst draw's.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from experiments.command import at_least_one, one_line
from latency_predictors.table.interpolation import features, gaussian_process, kept
from latency_predictors.table.latency_table import TABLE, LatencyTable
from search_spaces.errors import InputError

Floats = NDArray[np.float64]
Interpolate = Callable[[Floats, Floats, Floats], Floats]


def boosting(known: Floats, log_ms: Floats, asked: Floats) -> Floats:
    """Return what boosted trees predict."""
    model = HistGradientBoostingRegressor(min_samples_leaf=3, learning_rate=0.05, max_iter=300, random_state=0)
    return np.asarray(model.fit(known, log_ms).predict(asked))


INTERPOLATIONS: dict[str, Interpolate] = {"Gaussian process": gaussian_process, "boosted trees": boosting}


def interpolated(table: LatencyTable, measured: NDArray[np.bool_], x: Floats, by: Interpolate) -> LatencyTable:
    """Return the table with the blocks that were not measured as the others foretell them."""
    if measured.all():
        return table
    blocks = table.space.index.blocks
    log_ms = np.log([table.blocks[repr(block)].quantile_ms for block in blocks])
    found = log_ms.copy()
    found[~measured] = by(x[measured], log_ms[measured], x[~measured])
    values = {
        repr(block): dataclasses.replace(table.blocks[repr(block)], quantile_ms=float(np.exp(value)))
        for block, value in zip(blocks, found, strict=True)
    }
    return dataclasses.replace(table, blocks=values)


def block_error(table: LatencyTable, found: LatencyTable, measured: NDArray[np.bool_]) -> float:
    """Return the mean relative error of the blocks that were not measured; 0 if all were."""
    names = [repr(block) for block, known in zip(table.space.index.blocks, measured, strict=True) if not known]
    errors = [abs(found.blocks[name].quantile_ms / table.blocks[name].quantile_ms - 1) for name in names]
    return float(np.mean(errors)) if errors else 0.0


def main() -> None:
    """Tell the errors for each share and way of interpolating."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--table", type=Path, required=True, help="output directory of nas profile")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5, 0.25, 0.1], help="of blocks that are measured")
    parser.add_argument("--draws", type=int, default=10, help="of the blocks that are measured")
    options = parser.parse_args()
    with one_line(parser.prog):
        at_least_one(draws=options.draws)
        for share in options.shares:
            if not 0 < share <= 1:
                raise InputError(f"--shares {share:g}: expected shares of the blocks, above 0 and at most 1")
        table = LatencyTable.load(options.table / TABLE)
        if table.interpolation_error is not None:
            raise InputError(f"{options.table} holds interpolated blocks: profile the space with --profile.share 1")
        blocks, whole = table.space.index.blocks, table.errors()
        x = features(blocks)
        print(f"{table.space.to_json()}: {len(blocks)} blocks, {whole.n_networks} held-out networks")
        print(f"{'measured':>10}{'interpolated by':>20}{'blocks':>10}{'networks':>10}{'worst':>10}{'Spearman':>10}")
        print(
            f"{1:>10.0%}{'':>20}{0:>10.2%}{whole.mean_absolute:>10.2%}{whole.mean_absolute:>10.2%}{whole.spearman:>10.3f}"
        )
        for share in options.shares:
            for name, by in INTERPOLATIONS.items():
                rows = []
                for seed in range(options.draws):
                    measured = kept(blocks, share, np.random.default_rng(seed))
                    found = interpolated(table, measured, x, by)
                    errors = found.errors()
                    rows.append([block_error(table, found, measured), errors.mean_absolute, errors.spearman])
                of_blocks, of_networks, spearman = np.mean(rows, axis=0)
                worst = np.max(rows, axis=0)[1]
                print(f"{measured.mean():>10.0%}{name:>20}{of_blocks:>10.2%}", end="")
                print(f"{of_networks:>10.2%}{worst:>10.2%}{spearman:>10.3f}")


if __name__ == "__main__":
    main()
