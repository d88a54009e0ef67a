"""ProxylessNAS (Cai et al., ICLR 2019): binary gates, and two sampled options a choice and step."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn.functional import one_hot

from nas.differentiable.gates import Gate, drawn, straight_through
from nas.differentiable.strategy import DifferentiableStrategy


@dataclass(config={"extra": "forbid"})
class ProxylessNAS(DifferentiableStrategy):
    """Draws two options of each choice and opens the gate of one; the logits of the two learn which was better.

    Both are computed, since the closed gate's gradient asks what its option would have given. The weights learn on
    paths of one option, drawn by its probability. After each step the two logits are shifted to the sum of exponentials
    that they had before (section 3.2.1), and Adam has no first moment, as in the authors' code: so the loss leaves the
    probabilities of options that were not drawn as they are, and the gradients of the bounds alone move all of them.
    """

    logit_betas = (0.0, 0.999)

    def gate(self, logits: Tensor, progress: float, generator: torch.Generator) -> Gate:
        options = drawn(logits.softmax(0), min(2, len(logits)), generator)
        among = logits[options].softmax(0)
        (opened,) = drawn(among, 1, generator)
        weights = torch.zeros_like(logits).index_add(
            0, torch.tensor(options, device=logits.device), straight_through(among, opened)
        )
        return Gate(weights, tuple(options))

    def settled(self, logits: Tensor, before: Tensor, gate: Gate) -> Tensor:
        if len(gate.options) != 2:  # of a choice that can only be sampled, one learns beside all others
            return logits
        pair = torch.tensor(gate.options, device=logits.device)
        grown = logits[pair].logsumexp(0) - before[pair].logsumexp(0)
        return logits.index_add(0, pair, -grown.expand(2))

    def gate_of_weights(self, logits: Tensor, progress: float, generator: torch.Generator) -> Gate:
        (opened,) = drawn(logits.softmax(0), 1, generator)
        return Gate(one_hot(torch.tensor(opened), len(logits)).to(logits), (opened,))
