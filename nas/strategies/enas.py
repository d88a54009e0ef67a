"""ENAS (Pham et al., ICML 2018): a recurrent controller that learns on shared weights while they are trained by it."""

from dataclasses import asdict
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nas.controller import Controller, ControllerStrategy
from nas.data.dataset import IGNORED
from nas.training.descent import Student
from nas.training.joint_descent import JointDescent
from nas.training.options import TrainingOptions
from search_spaces.plan_index import Population


@dataclass(config={"extra": "forbid"})
class ENAS(ControllerStrategy):
    """REINFORCE whose rewards, before any evaluation, are those of single batches of validation examples.

    Networks of the region that the controller draws train a copy of the supernet; others that it draws are rewarded by
    the cross entropy of a batch. What is evaluated in the end teaches it as it teaches REINFORCE.
    """

    searches_weights = True

    epochs: int = Field(default=10, ge=1, description="passes over the training examples")
    batch_size: int = Field(default=64, ge=2, description="examples a step")
    weight_learning_rate: float = Field(default=0.025, gt=0, description="of the shared weights, peak of the schedule")
    rewarded: int = Field(default=2, ge=1, description="networks that a step rewards")

    def _start(self) -> None:
        super()._start()
        self._descended = False

    def _draw(self, n: int) -> Population:
        if not self._descended:
            self._descended = True
            descent = _ControllerDescent(self, self._controller, int(self.rng.integers(2**31)))
            descent.run(self._directory, {**asdict(self), **self._belongs_to})
        return super()._draw(n)


class _Chooser(nn.Module):
    """The controller, and the mean reward that it is compared with."""

    baseline: Tensor

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.register_buffer("baseline", torch.tensor(float("nan")))


class _ControllerDescent(JointDescent):
    def __init__(self, strategy: ENAS, controller: Controller, seed: int) -> None:
        weights = strategy.weights
        assert weights is not None, "a search refuses that before it begins"
        options = TrainingOptions(
            epochs=strategy.epochs,
            batch_size=strategy.batch_size,
            learning_rate=strategy.weight_learning_rate,
            device=str(next(weights.supernet.parameters()).device),
            seed=seed,
        )
        self._state = _Chooser(controller)
        super().__init__(weights, options, self._state, strategy.learning_rate)
        self._strategy, self._region = strategy, strategy.region

    def take_step(self) -> dict[str, str]:
        """Train one network that the controller draws, then reward others."""
        rng = np.random.default_rng([self.seed, self.descent.step])
        (architecture,) = self.space.decode(self._draw(1, rng))
        student = Student(self.supernet.network(architecture), partial(self.space.prepare, architecture=architecture))
        loss = self.descent.descend([student], distil=False)
        rows = self._draw(self._strategy.rewarded, rng)
        rewards = torch.tensor([-self._loss(row) for row in rows], device=self.descent.device)
        baseline = rewards.mean() if self._state.baseline.isnan() else self._state.baseline.clone()
        log_probability, entropy = self._state.controller.log_probabilities(rows)
        gain = ((rewards - baseline) * log_probability).mean() + self._strategy.entropy * entropy.mean()
        self._optimizer.zero_grad()
        (-gain).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        memory = self._strategy.memory
        self._state.baseline.copy_(memory * baseline + (1 - memory) * rewards.mean())
        return {"loss": f"{loss:.3f}", "reward": f"{float(rewards.mean()):.3f}"}

    def _draw(self, n: int, rng: np.random.Generator) -> Population:
        """Return networks of the region that the controller drew, (n, choices)."""
        return self._region.breed(n, lambda m: self._state.controller.draw(m, rng), rng)

    def _loss(self, row: NDArray[np.integer]) -> float:
        (architecture,) = self.space.decode(row[None])
        examples, labels = self.examples(self.data.validation)
        self.supernet.train()  # with statistics of the batch: those that are remembered mix all networks
        with torch.no_grad():
            inputs = self.space.prepare(examples, architecture)
            logits = self.supernet.network(architecture)(*inputs)
        return cross_entropy(logits, labels, ignore_index=IGNORED).item()
