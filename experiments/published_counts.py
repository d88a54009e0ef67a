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
from numpy.typing import NDArray

import search_spaces
from experiments.command import one_line
from experiments.tabular.table import read_columns
from latency_predictors.analytic.counts import count_models
from search_spaces import SearchSpace
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

FBNET_CANDIDATES = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
"""In the order of the published numbers."""

METRICS = {"params": "n_parameters", "flops": "macs"}
"""What the published columns are called here."""


def main() -> None:
    """Read, count, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nasbench201", type=Path, help="Parquet file of NAS-Bench-201")
    parser.add_argument("--fbnet", type=Path, help="Parquet file of FBNet's networks in HW-NAS-Bench")
    arguments = parser.parse_args()
    with one_line(parser.prog):
        if not (arguments.nasbench201 or arguments.fbnet):
            raise InputError("nothing to compare with: give --nasbench201 FILE, --fbnet FILE, or both")
        if arguments.nasbench201:
            _check_nasbench201(arguments.nasbench201)
        if arguments.fbnet:
            _check_fbnet(arguments.fbnet)


def _published(file: Path, *names: str) -> dict[str, list[Any]]:
    return {name: column.to_pylist() for name, column in read_columns(file, [*names, *METRICS]).items()}


def _check_nasbench201(file: Path) -> None:
    published = _published(file, "arch", "unique_string")
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


def _check_fbnet(file: Path) -> None:
    space = search_spaces.load("fbnet")
    layers = [f"op_{layer}" for layer in range(len(space.choices))]
    published = _published(file, *layers)
    numbers = [space.choices[0].options.index(candidate) for candidate in FBNET_CANDIDATES]
    _compare(space, np.column_stack([np.take(numbers, published[layer]) for layer in layers]), published)


def _compare(space: SearchSpace, population: Population, published: dict[str, list[Any]]) -> None:
    models = count_models(space)
    print(f"{space.name}: {len(population)} networks")
    for column, metric in METRICS.items():
        difference = models[metric].predict(population) - np.array(published[column])
        n_equal = int((difference == 0).sum())
        print(f"  {metric} equal to the published for {n_equal}; largest difference {np.abs(difference).max():.0f}")


def _classes(rows: Population) -> NDArray[np.intp]:
    """Return (N,): equal numbers, from 0, for equal rows."""
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


if __name__ == "__main__":
    main()
