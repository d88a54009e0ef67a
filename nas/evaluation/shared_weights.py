"""Accuracy of networks with the weights that they inherit from a supernet."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from nas.data import Dataset, Images, normalise, resize
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.supernet import Supernet
from search_spaces import Architecture
from search_spaces.plan_index import Population

_BATCH_SIZE = 256


class SharedWeights(Evaluator):
    """Evaluates extracted networks on the validation part, batch-norm statistics estimated anew for each.

    Statistics of shared layers are a mixture over architectures, of no use to any one of them (Yu and Huang,
    ICCV 2019), so there is no way to leave the estimation out.

    Args:
        supernet: the shared weights.
        data: the data set; its test part is never read.
        n_validation: at most so many validation images, None for all.
        n_statistics: training images from which the statistics are estimated.
    """

    metrics = ("accuracy", "cross_entropy")
    batch_size = 1

    def __init__(
        self, supernet: Supernet, data: Dataset, *, n_validation: int | None = None, n_statistics: int = 1024
    ) -> None:
        self.supernet = supernet
        self.space = supernet.space
        self.data = data
        self._validation = _drawn(len(data.validation), n_validation)
        self._n_statistics = n_statistics

    def evaluate(self, population: Population) -> Metrics:
        results = [self._evaluate(architecture) for architecture in self.space.decode(population)]
        return {name: np.array([result[name] for result in results]) for name in self.metrics}

    def extract(self, architecture: Architecture) -> nn.Module:
        """Return the architecture's static network with statistics of its own, in evaluation mode."""
        network = self.supernet.extract(architecture)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        resolution = self.space.input_shape(architecture)[-1]
        estimate_statistics(network, self.data, resolution, self._n_statistics)
        return network.eval()

    def _evaluate(self, architecture: Architecture) -> dict[str, float]:
        resolution = self.space.input_shape(architecture)[-1]
        return score(self.extract(architecture), self.data, self.data.validation, resolution, self._validation)


def estimate_statistics(network: nn.Module, data: Dataset, resolution: int, n_images: int | None = None) -> None:
    """Set batch-norm statistics to those of training images, all or some drawn by a fixed seed, in place."""
    device = next(network.parameters()).device
    chosen = _drawn(len(data.train), n_images)
    with torch.no_grad():
        update_bn((images for images, _ in _batches(data, data.train, chosen, resolution, device)), network)


def score(
    network: nn.Module, data: Dataset, part: Images, resolution: int, indices: Tensor | None = None
) -> dict[str, float]:
    """Return accuracy and cross entropy of a network over a part of the data, or over its images at some indices."""
    device = next(network.parameters()).device
    chosen = torch.arange(len(part)) if indices is None else indices
    correct = loss = 0.0
    with torch.inference_mode():
        for images, labels in _batches(data, part, chosen, resolution, device):
            logits = network(images)
            correct += (logits.argmax(1) == labels).sum().item()
            loss += cross_entropy(logits, labels, reduction="sum").item()
    return {"accuracy": correct / len(chosen), "cross_entropy": loss / len(chosen)}


def _batches(
    data: Dataset, part: Images, indices: Tensor, resolution: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images (B, C, R, R) and labels (B,) in order, in batches that differ by one image at most in size."""
    for chosen in indices.tensor_split(math.ceil(len(indices) / _BATCH_SIZE)):
        images = resize(normalise(part[chosen], data.mean, data.std, device), resolution)
        yield images.contiguous(memory_format=torch.channels_last), part.labels[chosen].to(device)


def _drawn(n: int, at_most: int | None) -> Tensor:
    """Return indices in random order, always the same: files come class by class, and batches should not."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:at_most]
