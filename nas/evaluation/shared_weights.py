"""How good networks are with the weights that they inherit from a supernet."""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from nas.data import Dataset
from nas.data.dataset import IGNORED, Prepare
from nas.evaluation.batches import Batches
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.evaluation.scores import scores
from nas.supernet import Supernet
from search_spaces import Architecture
from search_spaces.images import channels_last
from search_spaces.onnx import device_of
from search_spaces.plan_index import Population


class SharedWeights(Evaluator):
    """Evaluates extracted networks on the validation part, batch-norm statistics estimated anew for each.

    Statistics of shared layers are a mixture over architectures, of no use to any one of them (Yu and Huang,
    ICCV 2019), so there is no way to leave the estimation out.

    Args:
        supernet: the shared weights.
        data: the data set; its test part is never read.
        n_validation: at most so many validation examples, None for all.
        n_statistics: training examples from which the statistics are estimated, None for as many as the data say.
    """

    batch_size = 1

    def __init__(
        self, supernet: Supernet, data: Dataset, *, n_validation: int | None = None, n_statistics: int | None = None
    ) -> None:
        self.supernet = supernet
        self.space = supernet.space
        self.data = data
        self.metrics = data.metrics
        self._validation = Batches(data, data.validation, n_validation)
        self._statistics = Batches(data, data.train, n_statistics or data.n_statistics)

    def evaluate(self, population: Population) -> Metrics:
        results = [self._evaluate(architecture) for architecture in self.space.decode(population)]
        return {name: np.array([result[name] for result in results]) for name in self.metrics}

    def extract(self, architecture: Architecture) -> nn.Module:
        """Return the architecture's static network with statistics of its own, in evaluation mode."""
        network = self.supernet.extract(architecture)
        channels_last(network)
        estimate_statistics(network, self._statistics, self.prepare(architecture))
        return network.eval()

    def prepare(self, architecture: Architecture) -> Prepare:
        """Return what makes the architecture's inputs of a batch."""
        return partial(self.space.prepare, architecture=architecture)

    def _evaluate(self, architecture: Architecture) -> dict[str, float]:
        network = self.extract(architecture)
        return score(network, self._validation, self.prepare(architecture))


def estimate_statistics(network: nn.Module, batches: Batches, prepare: Prepare) -> None:
    """Set batch-norm statistics to those of training examples, in place.

    The plain average over batches. The network is left in evaluation mode, but for its norms.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    device = next(network.parameters()).device
    network.eval()  # whatever else behaves differently in training, as dropout does, is not to show in the statistics
    for norm in norms:
        norm.train()
    with torch.no_grad():
        for inputs, _ in batches.prepared(prepare, device):
            network(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def score(network: nn.Module, batches: Batches, prepare: Prepare) -> dict[str, float]:
    """Return a network's scores on some examples, by the data set's metrics."""
    device = device_of(network)
    n = len(batches.data.classes)
    confusion, loss = torch.zeros(n, n, dtype=torch.int64), 0.0
    with torch.inference_mode():
        for inputs, labels in batches.prepared(prepare, device):
            logits = network(*inputs)
            loss += cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORED).item()
            counted = labels != IGNORED
            cells = labels[counted] * n + logits.argmax(1)[counted]
            confusion += torch.bincount(cells, minlength=n * n).reshape(n, n).cpu()
    return scores(batches.data.metrics, confusion, loss)


def predictions(network: nn.Module, batches: Batches, prepare: Prepare) -> Tensor:
    """Return (rows,): the class that a network predicts for each row of some examples, labelled or not."""
    with torch.inference_mode():
        return torch.cat(
            [network(*inputs).argmax(1).cpu() for inputs, _ in batches.prepared(prepare, device_of(network))]
        )
