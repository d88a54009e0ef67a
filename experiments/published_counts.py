"""Parameters and multiply-adds of whole spaces beside published ones, network by network.

    python -m experiments.published_counts --nasbench201 nasbench201.parquet --fbnet fbnet_latency.parquet

Of NAS-Bench-201, `arch`, `params`, `flops` and `unique_string` of all 15,625 architectures; the figures are of the
networks as published, dead edges kept. Beside them, how many networks differ once dead edges are removed: a plan does
not see that two cells differ in the names of their nodes alone, as `unique_string` does; that in turn tells networks
apart by operations that get nothing but zeros, which a plan drops. Of FBNet, `op_0` to `op_21`, `params` and `flops`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

import search_spaces
from latency_predictors.analytic.counts import count_models
from search_spaces import SearchSpace
from search_spaces.plan_index import Population

FBNET_CANDIDATES = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
"""In the order of the published numbers."""


def main() -> None:
    """Read, count, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nasbench201", type=Path, help="Parquet file of NAS-Bench-201")
    parser.add_argument("--fbnet", type=Path, help="Parquet file of FBNet's networks in HW-NAS-Bench")
    arguments = parser.parse_args()
    if arguments.nasbench201:
        _check_nasbench201(pq.read_table(arguments.nasbench201).to_pydict())
    if arguments.fbnet:
        _check_fbnet(pq.read_table(arguments.fbnet).to_pydict())


def _check_nasbench201(published: dict[str, list[Any]]) -> None:
    space = search_spaces.load("nasbench201", dead_edges="keep")
    population = space.encode([space.from_string(text) for text in published["arch"]])  # type: ignore[attr-defined]
    _compare(space, population, published)
    plans = _classes(search_spaces.load("nasbench201").canonical(population))
    strings = np.unique(published["unique_string"], return_inverse=True)[1]
    print(
        f"  distinct plans: {space.size} with dead edges, {plans.max() + 1} without; "
        f"distinct unique_string: {strings.max() + 1}"
    )
    fed = _fed(space, population)
    pairs = np.unique(np.stack([plans[fed], strings[fed]]), axis=1)
    print(
        f"  of the {fed.sum()} networks without an operation on zeros: {len(np.unique(plans[fed]))} plans, "
        f"{len(np.unique(strings[fed]))} unique_string, {pairs.shape[1]} pairs of the two"
    )


def _fed(space: SearchSpace, population: Population) -> NDArray[np.bool_]:
    """Return (N,): whether each operation of a cell reads a node that the cell's input reaches."""
    fed = np.ones(len(population), bool)
    reached = np.zeros((4, len(population)), bool)
    reached[0] = True
    for choice, column in zip(space.choices, population.T, strict=True):
        source, target = (int(node) for node in choice.name.split("_")[1:])
        used = column != choice.options.index("none")
        fed &= reached[source] | ~used
        reached[target] |= reached[source] & used
    return fed


def _check_fbnet(published: dict[str, list[Any]]) -> None:
    space = search_spaces.load("fbnet")
    numbers = [space.choices[0].options.index(candidate) for candidate in FBNET_CANDIDATES]
    columns = [np.take(numbers, published[f"op_{layer}"]) for layer in range(len(space.choices))]
    _compare(space, np.column_stack(columns), published)


def _compare(space: SearchSpace, population: Population, published: dict[str, list[Any]]) -> None:
    models = count_models(space)
    print(f"{space.name}: {len(population)} networks")
    for column, metric in (("params", "n_parameters"), ("flops", "macs")):
        difference = models[metric].predict(population) - np.array(published[column])
        n_equal = int((difference == 0).sum())
        print(f"  {metric} equal to the published for {n_equal}; largest difference {np.abs(difference).max():.0f}")


def _classes(rows: Population) -> NDArray[np.intp]:
    """Return (N,): equal numbers, from 0, for equal rows."""
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


if __name__ == "__main__":
    main()
