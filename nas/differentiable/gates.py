"""From the logits of a choice's options to the weights with which they are mixed in one step."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from nas.differentiable.slot import Support


@dataclass(frozen=True)
class Gate:
    """How the options of one choice are mixed: weights (options,), and the options computed.

    The weights sum to one, but for a skip connection that is dropped out or makes up for that.
    """

    weights: Tensor
    options: tuple[int, ...]


@dataclass(frozen=True)
class Mixture:
    """What one step computes: a gate for each choice, and the row of an architecture whose inputs it takes."""

    gates: tuple[Gate, ...]
    row: tuple[int, ...]

    @property
    def weights(self) -> list[Tensor]:
        """The weights, by choice."""
        return [gate.weights for gate in self.gates]

    @property
    def support(self) -> Support:
        """The options that are computed, by choice."""
        return tuple(gate.options for gate in self.gates)


def everything(weights: Tensor) -> Gate:
    """Return the gate that computes all options."""
    return Gate(weights, tuple(range(len(weights))))


def gumbel_softmax(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Return a sample of the concrete distribution (Jang et al.; Maddison et al., ICLR 2017), (options,)."""
    uniform = torch.rand(logits.shape, generator=generator).clamp(min=torch.finfo(torch.float32).tiny)
    gumbel = -(-uniform.log()).log()
    return ((logits.log_softmax(0) + gumbel.to(logits)) / temperature).softmax(0)


def relaxed(logits: Tensor, first: float, last: float, progress: float, generator: torch.Generator) -> Gate:
    """Return the gate that mixes all options by such a sample, at a temperature that falls as the search goes on."""
    return everything(gumbel_softmax(logits, annealed(first, last, progress), generator))


def straight_through(soft: Tensor, option: int) -> Tensor:
    """Return the one-hot vector of an option, with the gradient of soft weights (Bengio et al., 2013)."""
    hard = one_hot(torch.tensor(option), len(soft)).to(soft)
    return hard + soft - soft.detach()


def drawn(probabilities: Tensor, n: int, generator: torch.Generator) -> list[int]:
    """Return n different options, drawn one after the other by their probabilities."""
    taken: list[int] = torch.multinomial(probabilities.detach().cpu(), n, generator=generator).tolist()
    return taken


def annealed(first: float, last: float, progress: float) -> float:
    """Return a temperature that falls geometrically from the first step to the last."""
    return float(first * (last / first) ** progress)
