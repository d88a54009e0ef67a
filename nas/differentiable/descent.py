"""Descent of the logits of options and of shared weights in turn."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from nas.constraint import Constraint
from nas.data.dataset import IGNORED
from nas.differentiable.bounds import penalty, raised
from nas.differentiable.curvature import dominant_eigenvalue, unrolled_gradients
from nas.differentiable.expected_cost import ExpectedCost
from nas.differentiable.gates import Gate, Mixture, drawn
from nas.differentiable.relaxation import Relaxation
from nas.evaluation.shared_weights import SharedWeights
from nas.reinforcement import Baseline
from nas.training.descent import Student, random_numbers, seed_dropout
from nas.training.joint_descent import JointDescent
from nas.training.options import TrainingOptions
from search_spaces import Architecture

if TYPE_CHECKING:
    from nas.differentiable.strategy import DifferentiableStrategy

_MEMORY = 0.9
"""Share of the score function's baseline that a step leaves as it is."""


class _Logits(nn.Module):
    """The logits, and what is remembered beside them."""

    multipliers: Tensor
    kept: Tensor
    history: Tensor
    eigenvalues: Tensor
    ended: Tensor

    def __init__(self, n_options: Sequence[int], n_constraints: int, n_epochs: int) -> None:
        super().__init__()
        self.logits = nn.ParameterList([torch.zeros(n) for n in n_options])
        self.register_buffer("multipliers", torch.zeros(n_constraints))
        self.baseline = Baseline(_MEMORY)
        self.register_buffer("kept", torch.ones(sum(n_options), dtype=torch.bool))
        self.register_buffer("history", torch.zeros(n_epochs, sum(n_options)))
        self.register_buffer("eigenvalues", torch.full((n_epochs,), float("nan")))
        self.register_buffer("ended", torch.tensor(False))


class ArchitectureDescent(JointDescent):
    """A differentiable search under way.

    Where a bound holds, T, the loss is the cross entropy plus m g + g^2 / 2 with g = log(expected cost / T); the
    multiplier m rises by a share of g in each step, so that the expectation comes to T: from either side where that
    bound is the tightest, from above where another is (`nas.differentiable.bounds`). A choice that can only be sampled
    (`Relaxation.sampled`) gets the score function's gradient (Williams, Machine Learning 1992).

    Args:
        strategy: says how options are mixed, and how long and fast to descend.
        weights: the supernet, of which a copy is trained, and the data.
        constraints: the bounds.
        seed: of data order and samples.
        epochs: to descend; None: the strategy's.
    """

    def __init__(
        self,
        strategy: "DifferentiableStrategy",
        weights: SharedWeights,
        constraints: Sequence[Constraint],
        seed: int,
        *,
        epochs: int | None = None,
    ) -> None:
        options = TrainingOptions(
            epochs=epochs or strategy.epochs,
            batch_size=strategy.batch_size,
            optimizer=strategy.optimizer,
            learning_rate=strategy.learning_rate,
            device=str(next(weights.supernet.parameters()).device),
            seed=seed,
        )
        self._state = _Logits(weights.space.n_options.tolist(), len(constraints), options.epochs)
        super().__init__(weights, options, self._state, strategy.logit_learning_rate, strategy.logit_betas)
        self.strategy = strategy
        self._logits = list(self._state.logits)
        self._relaxation = Relaxation(self.supernet)
        self._costs = [(ExpectedCost(c.model), c.bound / (1 + c.model.margin)) for c in constraints]

    def probabilities(self) -> list[Tensor]:
        """Return those of each choice's options, (options,); 0 where they were dropped."""
        return [
            logits.where(kept, -torch.inf).softmax(0)
            for logits, kept in zip(self._logits, self._by_choice(self._state.kept), strict=True)
        ]

    def log_probabilities(self) -> NDArray[np.float64]:
        """Return those of all options, the options of one choice after the other; -inf where they were dropped."""
        probabilities = torch.cat(self.probabilities()).detach().double()
        return np.asarray(probabilities.log().cpu().numpy())

    def likeliest(self) -> list[Architecture]:
        """Return the architecture of the most probable options after each epoch so far, and last the result."""
        logits = torch.cat([self._state.history[: self.epoch + 1], torch.cat(self._logits)[None]])
        columns = [part.argmax(1) for part in self._by_choice(logits.where(self._state.kept, -torch.inf))]
        return self.space.decode(torch.stack(columns, 1).cpu().numpy())

    def shares_of_bounds(self) -> list[float]:
        """Return the expected costs as shares of their bounds."""
        shares: list[float] = self._excesses().exp().tolist()
        return shares

    def keep(self, options: NDArray[np.bool_]) -> None:
        """Go on with some of all options alone, those of one choice after the other."""
        self._state.kept.copy_(torch.from_numpy(options))

    def end(self, epoch: int) -> None:
        """End with the logits as they were after an epoch."""
        with torch.no_grad():
            for logits, then in zip(self._logits, self._by_choice(self._state.history[epoch]), strict=True):
                logits.copy_(then)
        self._state.ended.fill_(True)

    def dominant_eigenvalues(self) -> list[float]:
        """Return those of the Hessian of the validation loss in the logits, after each epoch until this one."""
        if self._state.eigenvalues[self.epoch].isnan():
            generator = random_numbers(self.seed, self.epoch, "eigenvalue")
            direction = torch.randn(len(self._state.kept), generator=generator).to(self.descent.device)
            self._state.eigenvalues[self.epoch] = dominant_eigenvalue(self._gradient_at, direction)
        found: list[float] = self._state.eigenvalues[: self.epoch + 1].tolist()
        return found

    def is_over(self) -> bool:
        return super().is_over() or bool(self._state.ended)

    def take_step(self) -> dict[str, str]:
        """Take a step of the logits, unless they rest still, and one of the weights."""
        if self.progress >= self.strategy.warmup:
            self._step_logits()
        mixture = self._mixture("weights")
        weights, support = [weights.detach() for weights in mixture.weights], mixture.support
        student = Student(lambda *inputs: self._relaxation(weights, support, inputs), self._prepare(mixture))
        loss = self.descent.descend([student], distil=False)
        if self.descent.step % self.descent.steps_per_epoch == 0:
            self._state.history[self.epoch] = torch.cat([logits.detach() for logits in self._logits])
            self.strategy.after_epoch(self)
        costs = {f"of bound {i}": f"{share:.1%}" for i, share in enumerate(self.shares_of_bounds(), 1)}
        return {"loss": f"{loss:.3f}"} | costs

    def _step_logits(self) -> None:
        batch = self._batch()
        mixture = self._mixture("logits")
        loss = self._loss(mixture, batch)
        (advantage,) = self._state.baseline.advantages(loss.detach()[None])
        surrogate = loss + advantage * self._log_probability(mixture)
        surrogate = surrogate + penalty(self._state.multipliers, self._excesses())
        self._optimizer.zero_grad()
        surrogate.backward()
        if self.strategy.second_order:
            self._add_second_order(batch)
        self.supernet.zero_grad()
        before = [logits.detach().clone() for logits in self._logits]
        self._optimizer.step()
        with torch.no_grad():
            for logits, then, gate in zip(self._logits, before, mixture.gates, strict=True):
                logits.copy_(self.strategy.settled(logits, then, gate))
            self._state.multipliers.copy_(raised(self._state.multipliers, self._excesses()))

    def _add_second_order(self, batch: tuple[Any, Tensor]) -> None:
        """Put what the weights' next step changes about the gradients of the cross entropy into those of the logits."""
        first = torch.autograd.grad(self._loss(self._mixture("logits"), batch), self._logits, allow_unused=True)
        training = self.descent.batch()
        unrolled = unrolled_gradients(
            lambda: self._loss(self._mixture("logits"), training),
            lambda: self._loss(self._mixture("logits"), batch),
            self._logits,
            list(self.supernet.parameters()),
            self.descent.learning_rate(),
        )
        for logits, plain, gradient in zip(self._logits, first, unrolled, strict=True):
            assert logits.grad is not None
            logits.grad += gradient - (0 if plain is None else plain)

    def _mixture(self, purpose: Literal["weights", "logits"]) -> Mixture:
        """Return the gates of this step, the same each time for one purpose."""
        generator = random_numbers(self.seed, self.descent.step, f"gates of {purpose}")
        gate_of = self.strategy.gate_of_weights if purpose == "weights" else self.strategy.gate
        gates, row = [], []
        for choice, (logits, kept) in enumerate(zip(self._logits, self._by_choice(self._state.kept), strict=True)):
            options = kept.nonzero()[:, 0]
            if choice in self._relaxation.sampled:
                (local,) = drawn(logits[options].softmax(0), 1, generator)
                gate = Gate(one_hot(torch.tensor(local), len(options)).to(logits), (local,))
            else:
                gate = gate_of(logits[options], self.progress, generator)
            weights = torch.zeros_like(logits).index_add(0, options, gate.weights)
            gates.append(
                Gate(self._dropped_out(weights, choice, generator), tuple(options[list(gate.options)].tolist()))
            )
            row.append(gates[-1].options[-1])
        return Mixture(tuple(gates), tuple(row))

    def _dropped_out(self, weights: Tensor, choice: int, generator: torch.Generator) -> Tensor:
        """Return a choice's weights without its skip connection, or with one that makes up for the steps without."""
        rate = self.strategy.skip_dropout(self.progress)
        skips = [option == self.space.skip for option in self.space.choices[choice].options]
        if rate == 0 or not any(skips):
            return weights
        factor = 0.0 if float(torch.rand((), generator=generator)) < rate else 1 / (1 - rate)
        return weights.where(~torch.tensor(skips, device=weights.device), weights * factor)

    def _prepare(self, mixture: Mixture) -> partial[tuple[Tensor, ...]]:
        return partial(self.space.prepare, architecture=self.space.decode([mixture.row])[0])

    def _loss(self, mixture: Mixture, batch: tuple[Any, Tensor]) -> Tensor:
        """Return the cross entropy on some examples; all losses of a step drop out the same, as differences need."""
        examples, labels = batch
        seed_dropout(self.seed, self.descent.step, "dropout for the logits")
        output = self._relaxation(mixture.weights, mixture.support, self._prepare(mixture)(examples))
        return cross_entropy(output, labels, ignore_index=IGNORED)

    def _log_probability(self, mixture: Mixture) -> Tensor:
        """Return that of the options that were sampled because no mask shows them."""
        probabilities = self.probabilities()
        total = torch.zeros((), device=probabilities[0].device)
        for choice in self._relaxation.sampled:
            total = total + probabilities[choice][mixture.row[choice]].log()
        return total

    def _excesses(self) -> Tensor:
        """Return the logarithms of expected costs as shares of their bounds, (bounds,)."""
        probabilities = self.probabilities()
        shares = [cost(probabilities)[None] / target for cost, target in self._costs]
        return torch.cat([self._state.multipliers[:0], *shares]).log()

    def _gradient_at(self, displacement: Tensor) -> Tensor:
        """Return the gradient of the validation loss in all logits, (options,), when they are displaced."""
        before = [logits.detach().clone() for logits in self._logits]
        with torch.no_grad():
            for logits, by in zip(self._logits, self._by_choice(displacement), strict=True):
                logits += by
        found = torch.autograd.grad(self._loss(self._mixture("logits"), self._batch()), self._logits, allow_unused=True)
        with torch.no_grad():
            for logits, value in zip(self._logits, before, strict=True):
                logits.copy_(value)
        return torch.cat([torch.zeros_like(a) if g is None else g for a, g in zip(before, found, strict=True)])

    def _batch(self) -> tuple[Any, Tensor]:
        return self.examples(getattr(self.data, self.strategy.logits_learn_from))

    def _by_choice(self, of_options: Tensor) -> Sequence[Tensor]:
        return torch.split(of_options, self.space.n_options.tolist(), dim=-1)
