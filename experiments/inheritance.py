"""How much sooner networks learn that inherit the weights of a smaller one, beside the same from scratch.

    python -m experiments.inheritance

Trains a small network, lets it grow into some larger ones by morphisms, and trains each of these twice for several
numbers of epochs: with its parent's weights, and from the start. Prints the mean validation scores, and after how many
steps each way first reaches a given accuracy.
"""

import argparse
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import search_spaces
from experiments.command import at_least_one, one_line
from nas.data import DataOptions, Dataset, load_data
from nas.evaluation.batches import Batches
from nas.evaluation.shared_weights import estimate_statistics, score
from nas.morphism import enlargements, morph
from nas.training import TrainingOptions, finetune
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar

METRICS = ("accuracy", "cross_entropy")


def main() -> None:
    """Compare, or say in one line what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=3)
    parser.add_argument("--growth", type=int, default=4, help="choices in which a child is larger than its parent")
    parser.add_argument("--parent-epochs", type=int, default=15)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--accuracy", type=float, default=0.96, help="the accuracy whose cost in steps is told")
    parser.add_argument("--width", type=float, default=0.5)
    arguments = parser.parse_args()
    with one_line(parser.prog):
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Train, compare, print."""
    counts = {"children": arguments.children, "growth": arguments.growth, "parent_epochs": arguments.parent_epochs}
    at_least_one(**counts, epochs=min(arguments.epochs))
    data = load_data(DataOptions("digits", channels=1, image_size=16))
    space = search_spaces.load("mobilenet_v3_32", resolutions=(16,), width=arguments.width, **data.space_options())
    parent = space.smallest()
    children = grown(space, parent, arguments.children, arguments.growth)
    trainings = Trainings(space, data)
    torch.manual_seed(0)
    network = trainings.train(space.build(parent), parent, arguments.parent_epochs)
    steps = arguments.parent_epochs * trainings.steps_per_epoch
    print(f"parent, {steps} steps: {told(trainings.score(network, parent))}")
    scores = np.empty((2, len(arguments.epochs), len(children), len(METRICS)))
    with progress_bar(scores[..., 0].size, "children", "training") as bar:
        for way, number, child in np.ndindex(scores.shape[:3]):
            architecture = children[child]
            torch.manual_seed(child)
            begun = space.build(architecture) if way else morph(space, network, parent, architecture)
            trained = trainings.train(begun, architecture, arguments.epochs[number])
            scores[way, number, child] = trainings.score(trained, architecture)
            bar.update()
    for way, name in enumerate(("inherited", "from scratch")):
        print(f"{name}, mean of {len(children)} children")
        for number, epochs in enumerate(arguments.epochs):
            print(f"  {epochs * trainings.steps_per_epoch:4} steps: {told(scores[way, number].mean(axis=0))}")
        enough = np.flatnonzero(scores[way, :, :, 0].mean(axis=1) >= arguments.accuracy)
        reached = f"{arguments.epochs[enough[0]] * trainings.steps_per_epoch} steps" if len(enough) else "not reached"
        print(f"  accuracy {arguments.accuracy}: {reached}")


class Trainings:
    """Trains and scores networks of a space on a data set."""

    def __init__(self, space: SearchSpace, data: Dataset) -> None:
        self.space, self.data, self.options = space, data, TrainingOptions()
        self.steps_per_epoch = len(data.train) // self.options.batch_size
        self._training, self._validation = Batches(data, data.train), Batches(data, data.validation)

    def train(self, network: nn.Module, architecture: Architecture, epochs: int) -> nn.Module:
        """Train a network in place for so many epochs; the learning rate falls to zero in that time."""
        prepare = partial(self.space.prepare, architecture=architecture)
        finetune(network, self.data, prepare, replace(self.options, epochs=epochs), progress=False)
        estimate_statistics(network, self._training, prepare)
        return network.eval()

    def score(self, network: nn.Module, architecture: Architecture) -> NDArray[np.float64]:
        """Return `METRICS` on the validation part."""
        found = score(network, self._validation, partial(self.space.prepare, architecture=architecture))
        return np.array([found[name] for name in METRICS])


def grown(space: SearchSpace, parent: Architecture, n: int, growth: int) -> list[Architecture]:
    """Return n networks that morphisms lead to from another, each larger in so many randomly drawn choices.

    Raises:
        InputError: a network is as large as can be before.
    """
    rng = np.random.default_rng(0)
    population = np.repeat(space.encode([parent]), n, axis=0)
    for step in range(growth):
        for row, larger in zip(population, enlargements(space, population), strict=True):
            if not larger.any():
                raise InputError(f"--growth {growth}: a network was as large as can be after {step}: ask for less")
            row[rng.choice(np.flatnonzero(larger))] += 1
    return space.decode(population)


def told(scores: NDArray[np.float64]) -> str:
    """Return scores in words."""
    return ", ".join(f"{name} {value:.3f}" for name, value in zip(METRICS, scores, strict=True))


if __name__ == "__main__":
    main()
