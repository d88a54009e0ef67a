"""A recurrent controller that draws architectures choice by choice (Zoph and Le, ICLR 2017)."""

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from nas.reinforcement import PolicyGradient
from search_spaces.plan_index import Population


class Controller(nn.Module):
    """An LSTM that reads the option taken last and gives the probabilities of the next choice's.

    Args:
        n_options: of each choice.
        hidden: width of the LSTM.
        seed: of the weights.
    """

    def __init__(self, n_options: Sequence[int], hidden: int, seed: int) -> None:
        super().__init__()
        self.n_options = [int(n) for n in n_options]
        self._first = np.concatenate([[0], np.cumsum(self.n_options)]).tolist()  # of each choice among all options
        self.begin = nn.Parameter(torch.empty(hidden))
        self.options = nn.Embedding(self._first[-1], hidden)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.logits = nn.Linear(hidden, self._first[-1])
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-0.1, 0.1, generator=generator)  # as published

    def draw(self, n: int, rng: np.random.Generator) -> Population:
        """Return n architectures (n, choices) drawn by the probabilities."""
        uniform = torch.from_numpy(rng.random((n, len(self.n_options)))).to(self.begin.device)
        with torch.no_grad():
            rows, _ = self._unroll(n, uniform=uniform)
        return rows.cpu().numpy()

    def log_probabilities(self, population: Population) -> tuple[Tensor, Tensor]:
        """Return (N,): the logarithm of each architecture's probability, and the entropy along its way."""
        rows = torch.from_numpy(np.ascontiguousarray(population, np.int64)).to(self.begin.device)
        _, steps = self._unroll(len(rows), rows=rows)
        taken = [step.gather(1, column[:, None])[:, 0] for step, column in zip(steps, rows.T, strict=True)]
        entropy = [-(step.exp() * step).sum(1) for step in steps]
        return torch.stack(taken).sum(0), torch.stack(entropy).sum(0)

    def _unroll(
        self, n: int, *, rows: Tensor | None = None, uniform: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Go through the choices, along given rows (N, choices) or by uniform random numbers of that shape.

        Returns:
            the rows, and for each choice the logarithms (N, options) of its options' probabilities.
        """
        state, read = None, self.begin.expand(n, -1)
        columns, steps = [], []
        for choice, (first, last) in enumerate(zip(self._first, self._first[1:], strict=False)):
            state = self.cell(read, state)
            steps.append(self.logits(state[0])[:, first:last].log_softmax(1))
            if rows is not None:
                columns.append(rows[:, choice])
            else:
                assert uniform is not None
                below = steps[-1].double().exp().cumsum(1) < uniform[:, choice, None]
                columns.append(below.sum(1).clamp(max=last - first - 1))
            read = self.options(columns[-1] + first)
        return torch.stack(columns, 1), steps


@dataclass(config={"extra": "forbid"})
class ControllerStrategy(PolicyGradient):
    """What strategies with a recurrent controller share: it draws networks and learns by REINFORCE."""

    hidden: int = Field(default=64, ge=1, description="width of the controller")

    def _start(self) -> None:
        self._controller = Controller(self.region.space.n_options.tolist(), self.hidden, int(self.rng.integers(2**31)))
        self._follow(self._controller)

    def _draw(self, n: int) -> Population:
        return self._controller.draw(n, self.rng)

    def _learn_own(self, rows: Population, advantages: Tensor) -> None:
        log_probability, entropy = self._controller.log_probabilities(rows)
        self._climb((advantages.to(log_probability) * log_probability).mean(), entropy)
