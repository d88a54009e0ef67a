"""Networks ranked by accuracy on shared weights, beside networks trained each on its own.

    python -m experiments.ranking --supernet runs/digits/train

Trains random networks of the supernet's space from scratch, several times each with different seeds, and prints
Kendall's rank correlation of their mean score on validation examples with that on shared weights, beside the rank
correlation of the stand-alone runs with each other, which no estimate can be expected to exceed by much.
"""

import argparse
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau

from experiments.command import at_least_one, one_line
from nas.evaluation.batches import Batches
from nas.evaluation.shared_weights import SharedWeights, estimate_statistics, score
from nas.training import TrainingOptions, finetune
from nas.verbs.search import load_supernet
from search_spaces.errors import unknown
from search_spaces.progress import progress_bar


def main() -> None:
    """Compare, or say in one line what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--supernet", type=Path, required=True, help="output directory of `nas train`")
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--runs", type=int, default=2, help="stand-alone trainings of each network")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--metric", default="cross_entropy", help="one that the data are scored by")
    arguments = parser.parse_args()
    with one_line(parser.prog):
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Train, compare, print."""
    at_least_one(networks=arguments.networks, runs=arguments.runs)
    options = TrainingOptions(epochs=arguments.epochs)
    supernet, data = load_supernet(arguments.supernet)
    space = supernet.space
    if arguments.metric not in data.metrics:
        raise unknown(f"metric of {data.name}", arguments.metric, data.metrics)
    population = space.canonical(space.sample(arguments.networks, np.random.default_rng(0)))
    shared = SharedWeights(supernet, data).evaluate(population)[arguments.metric]
    training, validation = Batches(data, data.train), Batches(data, data.validation)
    alone = np.empty((arguments.runs, arguments.networks))
    with progress_bar(alone.size, "stand-alone", "training") as bar:
        for run, network_number in np.ndindex(alone.shape):
            (architecture,) = space.decode(population[[network_number]])
            prepare = partial(space.prepare, architecture=architecture)
            torch.manual_seed(run)
            network = space.build(architecture)
            finetune(network, data, prepare, replace(options, seed=run), progress=False)
            estimate_statistics(network, training, prepare)
            alone[run, network_number] = score(network.eval(), validation, prepare)[arguments.metric]
            bar.update()
    print(
        f"{arguments.metric} of {arguments.networks} networks, {arguments.epochs} epochs alone, {arguments.runs} runs"
    )
    for i, architecture in enumerate(space.decode(population)):
        print(f"  {architecture.id}  shared {shared[i]:.4f}  alone {alone[:, i].mean():.4f}")
    print(
        "Kendall, shared weights against the mean of stand-alone runs: "
        f"{kendalltau(shared, alone.mean(0)).statistic:.3f}"
    )
    pairs = [kendalltau(alone[i], alone[j]).statistic for i, j in combinations(range(arguments.runs), 2)]
    if pairs:
        print(f"Kendall, stand-alone runs against each other: {np.mean(pairs):.3f}")


if __name__ == "__main__":
    main()
