"""How many architectures a second a cost over blocks is looked up for, beside the plain sum over plans.

    python -m experiments.benchmarks.population_queries

One core. The plain side asks each architecture for its plan and adds up a value for each block; the other compiles
the plans into arrays once and looks a population up. Both take turns (A B, B A, ...), each ratio is of one such pair.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import search_spaces
from experiments.command import at_least_one, one_line
from search_spaces import Block, SearchSpace
from search_spaces.plan_index import Population

SPACE = "ofa_mobilenet_v3"

T = TypeVar("T")


def sum_over_plans(space: SearchSpace, values: dict[Block, float], population: Population) -> NDArray[np.float64]:
    """Return the sums (N,) of a value for each block, one architecture at a time."""
    plans = (space.plan(architecture) for architecture in space.decode(population))
    return np.array([sum(values[block] for block in plan.values()) for plan in plans])


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def compare(space: SearchSpace, n: int, n_plain: int, n_pairs: int, dtype: type[np.integer]) -> None:
    """Print one line of the table: populations of n, the first `n_plain` of which the plain side sums."""
    rng = np.random.default_rng(0)
    values = rng.random(len(space.index.blocks))
    value_of = dict(zip(space.index.blocks, values.tolist(), strict=True))
    population = space.sample(n, rng).astype(dtype)
    compile_s, summed = timed(lambda: space.index.summed(values))
    summed(population[:n_plain])
    rates: dict[str, list[float]] = {"summed": [], "plain": []}
    for pair in range(n_pairs):
        for side in ("summed", "plain") if pair % 2 == 0 else ("plain", "summed"):
            if side == "summed":
                seconds, fast = timed(lambda: summed(population))
                rates[side].append(n / seconds)
            else:
                seconds, slow = timed(lambda: sum_over_plans(space, value_of, population[:n_plain]))
                rates[side].append(n_plain / seconds)
    difference = np.abs(fast[:n_plain] - slow).max()
    ratio = statistics.median(a / b for a, b in zip(rates["summed"], rates["plain"], strict=True))
    fast_rate, slow_rate = (statistics.median(rates[side]) for side in ("summed", "plain"))
    print(
        f"{len(space.choices[0].options):11}{np.dtype(dtype).name:>8}{compile_s * 1e3:13.0f}"
        f"{fast_rate:16,.0f}{slow_rate:12,.0f}{ratio:10,.0f}{difference:15.1e}",
        flush=True,
    )
    assert difference <= 1e-9


def main() -> None:
    """Compare look-ups for populations with sums over plans."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--population", type=int, default=1_000_000)
    parser.add_argument("--plain", type=int, default=5_000, help="architectures that the plain side sums in a turn")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side")
    options = parser.parse_args()
    with one_line(parser.prog):
        at_least_one(population=options.population, plain=options.plain, pairs=options.pairs)
        threadpool_limits(1)
        print(f"{SPACE}, populations of {options.population:,}, sums of a value for each block, one core")
        print(f"{'resolutions':>11}{'options':>8}{'compile, ms':>13}{'summed, 1/s':>16}{'plain, 1/s':>12}", end="")
        print(f"{'ratio':>10}{'difference':>15}")
        for spaces in ({}, {"resolutions": (224,)}):
            space = search_spaces.load(SPACE, **spaces)
            for dtype in (np.int64, np.int8):
                compare(space, options.population, options.plain, options.pairs, dtype)


if __name__ == "__main__":
    main()
