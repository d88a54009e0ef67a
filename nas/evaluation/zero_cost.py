"""Zero-cost proxies: how good networks may become, told from their weights at the start and a batch or two of data.

Of networks as they are built, before any training; what they say differs from space to space, and the number
of parameters or of multiply-adds is often no worse (Abdelfattah et al., ICLR 2021; White et al., 2022): compare.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from latency_predictors.analytic.counts import count_network
from nas.data import Dataset
from nas.data.dataset import IGNORED
from nas.evaluation.evaluator import Evaluator, Metrics
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError, unknown
from search_spaces.plan_index import Population

Batch = tuple[tuple[Tensor, ...], Tensor]
"""A network's inputs, and the labels (rows,)."""

_EXAMPLES = 32

_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.GELU, nn.SiLU, nn.LeakyReLU)


@dataclass(frozen=True)
class Candidate:
    """A network at its start, and what it is tried on.

    Attributes:
        space: that it is of.
        architecture: its choices.
        network: with random weights.
        batches: of training examples; `zico` compares gradients of two or more.
        n_compared: so many rows of a batch `naswot` compares: all where examples have labels, some where points do.
    """

    space: SearchSpace
    architecture: Architecture
    network: nn.Module
    batches: Sequence[Batch]
    n_compared: int = _EXAMPLES


def naswot(candidate: Candidate) -> float:
    """Return the logarithm of the determinant of how alike activations are (Mellor et al., ICML 2021).

    Of examples where each has a label; where points have them, of as many points, the same for all networks: of more
    points than a narrow network has activations, two are always alike.

    Raises:
        InputError: the network has no activations of what has labels.
    """
    codes: list[Tensor] = []
    inputs, labels = candidate.batches[0]
    n = min(len(labels), candidate.n_compared)
    rows = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:n].sort().values

    def keep(_: nn.Module, taken: tuple[Tensor, ...], __: Tensor) -> None:
        if len(taken[0]) == len(labels):  # of some networks' rows there are fewer inside than outside
            codes.append((taken[0][rows] > 0).reshape(n, -1).double())

    found = [module for module in candidate.network.modules() if isinstance(module, _ACTIVATIONS)]
    hooks = [module.register_forward_hook(keep) for module in found]
    with torch.no_grad(), _restored(candidate.network) as network:
        network.train()(*inputs)
    for hook in hooks:
        hook.remove()
    if not codes:
        raise InputError(f"naswot finds no activations in networks of {candidate.space.name}: use another proxy")
    alike = torch.zeros(n, n, dtype=torch.float64)
    for code in codes:
        alike += code @ code.T + (1 - code) @ (1 - code).T
    return float(torch.linalg.slogdet(alike).logabsdet)


def synflow(candidate: Candidate) -> float:
    """Return the logarithm of the sum of |weight x gradient| of all-positive weights (Tanaka et al., NeurIPS 2020)."""
    inputs, _ = candidate.batches[0]
    with _positive(candidate.network) as network:
        ones = [torch.ones_like(x).double() if x.is_floating_point() else x for x in inputs]
        network(*ones).sum().backward()
        flow = sum(float((p.detach() * p.grad).abs().sum()) for p in network.parameters() if p.grad is not None)
    return float(np.log(flow)) if flow > 0 else -np.inf


def snip(candidate: Candidate) -> float:
    """Return the sum of |weight x gradient of the loss| (Lee et al., ICLR 2019)."""
    gradients = _gradients(candidate, candidate.batches[0])
    parameters = dict(candidate.network.named_parameters())
    return sum(float((parameters[name].detach() * gradient).abs().sum()) for name, gradient in gradients.items())


def grad_norm(candidate: Candidate) -> float:
    """Return the norm of the gradient of the loss (Abdelfattah et al., ICLR 2021)."""
    gradients = _gradients(candidate, candidate.batches[0])
    return float(torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum().sqrt())


def zico(candidate: Candidate) -> float:
    """Return the sum over layers of log(sum of mean / deviation of |gradients| over batches) (Li et al., ICLR 2023)."""
    drawn = [_gradients(candidate, batch) for batch in candidate.batches]
    total = 0.0
    for name, parameter in candidate.network.named_parameters():
        if parameter.ndim < 2 or name not in drawn[0]:
            continue
        gradients = torch.stack([gradients[name].abs() for gradients in drawn])
        deviation = gradients.std(0, correction=0)
        ratios = (gradients.mean(0) / deviation)[deviation > 0]
        total += float(ratios.sum().log()) if len(ratios) and ratios.sum() > 0 else 0.0
    return total


def macs(candidate: Candidate) -> float:
    """Return the number of multiply-adds."""
    return float(count_network(candidate.space, candidate.architecture, candidate.network).macs)


def n_parameters(candidate: Candidate) -> float:
    """Return the number of parameters."""
    return float(sum(parameter.numel() for parameter in candidate.network.parameters()))


PROXIES: Mapping[str, Callable[[Candidate], float]] = {
    "naswot": naswot,
    "synflow": synflow,
    "snip": snip,
    "grad_norm": grad_norm,
    "zico": zico,
    "macs": macs,
    "n_parameters": n_parameters,
}
"""What they are called as metrics; of all of them more is taken to be better."""


def require_known(proxy: str) -> None:
    """Raise unless there is such a proxy.

    Raises:
        InputError: there is none; with the nearest that there are.
    """
    if proxy not in PROXIES:
        raise unknown("zero-cost proxy", proxy, PROXIES)


class ZeroCost(Evaluator):
    """Evaluates networks by zero-cost proxies.

    Args:
        space: the networks'.
        data: training examples are drawn from them, the same for all networks.
        proxies: names in `PROXIES`.
        n_examples: of a batch; None: 32, or so many as the data score at once if these are fewer.
            In any case `naswot` compares so many, or 32, of what has labels.
        n_batches: batches, for `zico` two or more.
        seed: of the networks' weights.

    Raises:
        InputError: there is no such proxy, or too few batches for it.
    """

    batch_size = 1

    def __init__(
        self,
        space: SearchSpace,
        data: Dataset,
        proxies: Sequence[str] = tuple(PROXIES),
        *,
        n_examples: int | None = None,
        n_batches: int = 2,
        seed: int = 0,
    ) -> None:
        for proxy in proxies:
            require_known(proxy)
        if "zico" in proxies and n_batches < 2:
            raise InputError(f"zico compares gradients of batches, of which there are {n_batches}: give at least 2")
        self.space = space
        self.data = data
        self.metrics = tuple(proxies)
        self.seed = seed
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
        n_drawn = n_examples or min(_EXAMPLES, data.scored_at_once)
        self._n_compared = n_examples or _EXAMPLES
        self._drawn = order[: n_drawn * n_batches].tensor_split(n_batches)

    def evaluate(self, population: Population) -> Metrics:
        found = [self._evaluate(architecture) for architecture in self.space.decode(population)]
        return {name: np.array([values[name] for values in found]) for name in self.metrics}

    def _evaluate(self, architecture: Architecture) -> dict[str, float]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            candidate = self._candidate(architecture)
            values = {}
            for name in self.metrics:
                torch.manual_seed(self.seed)  # of dropout
                values[name] = PROXIES[name](candidate)
        return values

    def _candidate(self, architecture: Architecture) -> Candidate:
        network = self.space.build(architecture)
        prepare = partial(self.space.prepare, architecture=architecture)
        drawn = [self.data.batch(self.data.train, indices, torch.device("cpu")) for indices in self._drawn]
        batches = [(prepare(batch), labels) for batch, labels in drawn]
        return Candidate(self.space, architecture, network, batches, self._n_compared)


def _gradients(candidate: Candidate, batch: Batch) -> dict[str, Tensor]:
    """Return the gradient of the mean cross entropy of a batch by the parameters it depends on, by name."""
    inputs, labels = batch
    named = dict(candidate.network.named_parameters())
    with _restored(candidate.network) as network:
        loss = cross_entropy(network.train()(*inputs), labels, ignore_index=IGNORED)
        gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(named, gradients, strict=True) if gradient is not None}


@contextmanager
def _restored(network: nn.Module) -> Iterator[nn.Module]:
    """Put a network's state and mode back after its use: norms in training take statistics that synflow reads."""
    state, mode = {name: tensor.clone() for name, tensor in network.state_dict().items()}, network.training
    try:
        yield network
    finally:
        network.load_state_dict(state)
        network.train(mode)


@contextmanager
def _positive(network: nn.Module) -> Iterator[nn.Module]:
    """Make a network linear where it can be, for as long: weights positive and in float64, norms at their start."""
    with _restored(network):
        network.double().eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.abs_()
        try:
            yield network
        finally:
            network.float().zero_grad()
