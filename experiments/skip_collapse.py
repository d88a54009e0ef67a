"""DARTS on NAS-Bench-201's cell: how it collapses to skip connections, and what early stopping saves.

    python -m experiments.skip_collapse --data digits --nasbench201 FILE --output runs/skip-collapse

Searches without a bound, from fresh weights, by DARTS and by RobustDARTS. After each epoch: the skip connections among
the six operations of the likeliest cell, the dominant eigenvalue of the validation loss, and, from the published table,
what that cell reaches on CIFAR-10 in 200 epochs. Searches that were stopped go on.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

import search_spaces
from experiments.tabular.nasbench201 import CELL, OPERATIONS
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
    accuracies = published(arguments.nasbench201)
    for name in ("darts", "robust_darts"):
        for seed in range(arguments.seeds):
            descent = searched(name, seed, arguments)
            *cells, result = descent.likeliest()
            print(f"\n{name}, seed {seed}, ended in epoch {descent.epoch + 1} of {arguments.epochs}")
            for epoch in sorted({*range(4, len(cells), 5), len(cells) - 1}):
                print(f"  epoch {epoch + 1:3d}: {described(cells[epoch], accuracies)}")
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
    descent.run(arguments.output / f"{name}-{seed}", {"strategy": name, "seed": seed})
    return descent


def published(path: Path) -> dict[tuple[int, ...], float]:
    """Return the test accuracy on CIFAR-10 of every cell, by the numbers of its operations."""
    columns = [f"op_{source}_{target}" for source, target in CELL.edges]
    table = pq.read_table(path, columns=[*columns, "c10_test_e200"])
    rows = np.stack([table[name].to_numpy() for name in columns], axis=1)
    return {
        tuple(row): accuracy for row, accuracy in zip(rows.tolist(), table["c10_test_e200"].to_pylist(), strict=True)
    }


def described(cell: Architecture, accuracies: dict[tuple[int, ...], float]) -> str:
    """Return a cell's skip connections, and what it reaches."""
    operations = [str(cell[f"edge_{source}_{target}"]) for source, target in CELL.edges]
    accuracy = accuracies[tuple(OPERATIONS.index(operation) for operation in operations)]
    return f"{operations.count('skip_connect')} skip connections, {accuracy:.2f} % on CIFAR-10   {' '.join(operations)}"


if __name__ == "__main__":
    main()
