"""DARTS on NAS-Bench-201's cell: how it collapses to skip connections, and what early stopping saves.

    python -m experiments.skip_collapse --data digits --nasbench201 FILE --output runs/skip-collapse

Searches without a bound, from fresh weights, by DARTS and by RobustDARTS. After each epoch: the skip connections among
the six operations of the likeliest cell, and, from the published table, what that cell reaches on CIFAR-10 in 200
epochs; for RobustDARTS, which stops by it, and for DARTS at the end also the dominant eigenvalue of the validation
loss. Searches that were stopped go on.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

import search_spaces
from experiments.command import at_least_one, resumable
from experiments.tabular.nasbench201 import CELL, nasbench201_of
from experiments.tabular.table import read_table
from nas import strategies
from nas.data import DataOptions, load_data
from nas.differentiable.descent import ArchitectureDescent
from nas.differentiable.strategy import DifferentiableStrategy
from nas.evaluation.shared_weights import SharedWeights
from nas.supernet import Supernet
from search_spaces import Architecture


def main() -> None:
    """Search, look up, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--channels", type=int, default=1, help="of the images")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--width", type=int, default=8, help="channels of the first stage")
    parser.add_argument("--cells", type=int, default=1, help="in each of the three stages")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--logit-learning-rate", type=float, help="unset: the strategy's")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--nasbench201", type=Path, required=True, help="Parquet file of the published results")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    with resumable(parser.prog):
        at_least_one(seeds=arguments.seeds, epochs=arguments.epochs)
        accuracies = published(arguments.nasbench201)
        for name in ("darts", "robust_darts"):
            for seed in range(arguments.seeds):
                print_search(f"{name}, seed {seed}", searched(name, seed, arguments), accuracies)


def print_search(title: str, descent: ArchitectureDescent, accuracies: dict[tuple[str, ...], float]) -> None:
    """Print the likeliest cells after every fifth epoch and the last, eigenvalues where they are known, the result."""
    *cells, result = descent.likeliest()
    eigenvalues = descent.dominant_eigenvalues()
    print(f"\n{title}, ended in epoch {descent.epoch + 1} of {descent.strategy.epochs}")
    for epoch in sorted({*range(4, len(cells), 5), len(cells) - 1}):
        eigenvalue = "" if np.isnan(eigenvalues[epoch]) else f"   eigenvalue {eigenvalues[epoch]:.3g}"
        print(f"  epoch {epoch + 1:3d}: {described(cells[epoch], accuracies)}{eigenvalue}")
    print(f"  result:    {described(result, accuracies)}")


def searched(name: str, seed: int, arguments: argparse.Namespace) -> ArchitectureDescent:
    """Return the finished search of one strategy and seed."""
    channels, resolution = arguments.channels, arguments.resolution
    data = load_data(DataOptions(arguments.data, channels=channels, image_size=resolution))
    options = data.space_options() | {"channels": arguments.width, "cells": arguments.cells, "resolution": resolution}
    torch.manual_seed(seed)
    weights = SharedWeights(Supernet(search_spaces.load("nasbench201", **options)), data)
    rate = arguments.logit_learning_rate
    told = {} if rate is None else {"logit_learning_rate": rate}
    strategy = strategies.load(name, epochs=arguments.epochs, warmup=0.0, **told)
    assert isinstance(strategy, DifferentiableStrategy)
    descent = ArchitectureDescent(strategy, weights, (), seed)
    descent.run(arguments.output / f"{name}-{seed}", {"strategy": name, **asdict(strategy), "seed": seed})
    return descent


def published(path: Path) -> dict[tuple[str, ...], float]:
    """Return the test accuracy on CIFAR-10 of every cell, by its operations."""
    accuracy = "c10_test_e200"
    table = read_table(nasbench201_of(path), [accuracy])
    cells = (tuple(map(str, cell.values())) for cell in table.space.decode(table.rows))
    return dict(zip(cells, table.results[accuracy].tolist(), strict=True))


def described(cell: Architecture, accuracies: dict[tuple[str, ...], float]) -> str:
    """Return a cell's skip connections, and what it reaches; NaN if the table lacks it."""
    operations = tuple(str(cell[f"edge_{source}_{target}"]) for source, target in CELL.edges)
    accuracy = accuracies.get(operations, float("nan"))
    return f"{operations.count('skip_connect')} skip connections, {accuracy:.2f} % on CIFAR-10   {' '.join(operations)}"


if __name__ == "__main__":
    main()
