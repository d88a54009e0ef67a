"""Gradient descent on one network or several that share weights: every step a function of (seed, step) alone."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from nas.data import Dataset
from nas.data.dataset import IGNORED, Prepare
from nas.training.options import TrainingOptions, torch_device
from nas.training.ranks import Ranks
from nas.training.whole_batch import whole_batch
from search_spaces.errors import InputError


@dataclass(frozen=True)
class Student:
    """A network, or a mixture of some, that a step trains or may train, and how a batch becomes its inputs."""

    network: Callable[..., Tensor]
    prepare: Prepare


class Descent:
    """Gradient descent by random batches with a cosine schedule over a data set's training part.

    Args:
        model: holds the parameters that are trained.
        data: the data set.
        options: how they are trained.
        ranks: the processes that take each step together, as one process would take it.

    Attributes:
        model: see above.
        step: how many steps have been taken; setting it, with the model and the optimiser's state, resumes a run.
        n_steps: how many there are in all.
    """

    def __init__(self, model: nn.Module, data: Dataset, options: TrainingOptions, ranks: Ranks = Ranks.ALONE) -> None:
        self.device = torch_device(options.device)
        self.model = model.to(self.device).train()
        self.data = data
        self.options = options
        self.ranks = ranks
        self.batch_size = min(options.batch_size, len(data.train))
        self.steps_per_epoch = len(data.train) // self.batch_size
        self.n_steps = options.epochs * self.steps_per_epoch
        self.step = 0
        auto = options.precision == "auto" and self.device.type == "cuda"
        self._bfloat16 = auto or options.precision == "bfloat16"
        self._optimizer = _optimizer(model, options)

    def descend(self, students: Sequence[Student], *, distil: bool) -> float:
        """Take one step on the sum of the students' losses; return the first one's loss.

        Args:
            students: trained on labels, each on the same examples.
            distil: the first student's predictions, not the labels, are the targets of the others
                (in-place distillation, Yu and Huang, ICCV 2019).
        """
        batch, labels = self.batch()
        n_counted = self.ranks.sum((labels != IGNORED).sum())
        seed_dropout(self.options.seed, self.step, "dropout")
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate()
        targets, losses = labels, []
        for student in students:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16), whole_batch(self.ranks):
                logits = student.network(*student.prepare(batch))
            smoothing = self.options.label_smoothing if targets is labels else 0.0
            loss = _loss(logits.float(), targets, labels, smoothing) / n_counted
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            if distil and targets is labels:
                targets = logits.detach().float().softmax(1)
        first_loss, *others = self.ranks.sum(torch.stack(losses)).tolist()
        if not math.isfinite(first_loss + sum(others)):
            rate = self.options.learning_rate
            raise InputError(f"training diverged at step {self.step}: lower the learning rate (now {rate})")
        self.ranks.sum_gradients(self.model.parameters())
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        return float(first_loss)

    def losses(self, candidates: Sequence[Student], n_examples: int | None = None) -> list[float]:
        """Return each network's loss on the same training examples, drawn anew each step; nothing is changed.

        Examples are not varied. Norms take the statistics of these examples, as running ones of shared weights are a
        mixture over architectures. Each rank looks at some of the networks; all are told of all.

        Args:
            candidates: in any mode, which does not matter.
            n_examples: how many, at most all there are; None for as many as a batch.
        """
        order = torch.randperm(len(self.data.train), generator=random_numbers(self.options.seed, self.step, "losses"))
        batch, labels = self.data.batch(self.data.train, order[: n_examples or self.batch_size], self.device)
        counted = (labels != IGNORED).sum()
        losses = torch.zeros(len(candidates), dtype=torch.float64, device=self.device)
        for i in range(self.ranks.number, len(candidates), self.ranks.n):
            candidate, network = candidates[i], candidates[i].network
            assert isinstance(network, nn.Module), "a mixture is no candidate"
            mode = network.training
            for module in network.eval().modules():
                if isinstance(module, _BatchNorm):
                    module.train()
            buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
                logits = functional_call(network, buffers, candidate.prepare(batch))
            network.train(mode)
            losses[i] = _loss(logits.float(), labels, labels, 0.0) / counted
        return self.ranks.sum(losses).tolist()

    def batch(self) -> tuple[Any, Tensor]:
        """Return this rank's share of this step's augmented examples, and their labels."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        order = torch.randperm(len(self.data.train), generator=random_numbers(self.options.seed, epoch, "order"))
        indices = order[position * self.batch_size : (position + 1) * self.batch_size]
        generator = random_numbers(self.options.seed, self.step, "augment")
        share = self.ranks.share(len(indices))
        return self.data.augmented(indices, self.device, self.options.augmentation, generator, share)

    def learning_rate(self) -> float:
        """Return that of the next step: a linear ramp, then a half cosine."""
        peak, ramp = self.options.learning_rate, max(1, round(self.options.warmup * self.n_steps))
        if self.step < ramp:
            return peak * (self.step + 1) / ramp
        return peak * (0.5 + 0.5 * math.cos(math.pi * (self.step - ramp) / max(1, self.n_steps - ramp)))

    def optimizer_state(self) -> dict[str, Tensor]:
        """Return what the optimiser remembers of each parameter, by names such as `conv.weight.momentum_buffer`."""
        return state_by_name(self._optimizer, dict(self.model.named_parameters()))

    def set_optimizer_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `optimizer_state` returned."""
        set_state_by_name(self._optimizer, dict(self.model.named_parameters()), state)


def state_by_name(optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what an optimiser remembers of parameters, by the parameter's name and the entry's, with a dot between."""
    state: dict[Tensor, Any] = optimizer.state
    return {
        f"{name}.{entry}": value
        for name, parameter in parameters.items()
        for entry, value in state.get(parameter, {}).items()
        if value is not None
    }


def set_state_by_name(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> None:
    """Put back what `state_by_name` returned."""
    for path, value in state.items():
        name, _, entry = path.rpartition(".")
        own = torch.empty_like(parameters[name] if value.ndim else value)  # a number is a count of steps
        optimizer.state[parameters[name]][entry] = own.copy_(value)


def _loss(logits: Tensor, targets: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Return the sum of the cross entropies with targets, classes or probabilities, of rows whose label counts."""
    if targets is labels:
        return cross_entropy(logits, labels, label_smoothing=smoothing, ignore_index=IGNORED, reduction="sum")
    counted = labels != IGNORED
    return cross_entropy(logits[counted], targets[counted], reduction="sum")


def _optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    groups = _parameter_groups(model, options.weight_decay)
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, betas=(options.momentum, 0.999))
    return torch.optim.SGD(groups, momentum=options.momentum, nesterov=options.momentum > 0)


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and kernels, but neither biases nor norms, which have one dimension."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _seed(seed: int, count: int, purpose: str) -> int:
    """Return a seed of its own for each purpose and count, 63 bits."""
    text = f"{seed}/{count}/{purpose}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def seed_dropout(seed: int, count: int, purpose: str) -> None:
    """Begin torch's own random numbers, of which dropout takes, anew for each purpose and count."""
    torch.manual_seed(_seed(seed, count, purpose))


def random_numbers(seed: int, count: int, purpose: str) -> torch.Generator:
    """Return a generator of its own for each purpose and count."""
    return torch.Generator().manual_seed(_seed(seed, count, purpose))
