"""ENAS (Pham et al., ICML 2018): a recurrent controller that learns on shared weights while they are trained by it."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn.functional import cross_entropy

from nas.controller import Controller, ControllerStrategy
from nas.data.dataset import IGNORED
from nas.reinforcement import Baseline, draw_within
from nas.training.descent import Student
from nas.training.joint_descent import JointDescent
from nas.training.options import TrainingOptions
from nas.weight_search import WeightSearch
from search_spaces.plan_index import Population


@dataclass(config={"extra": "forbid"})
class ENAS(WeightSearch, ControllerStrategy):
    """REINFORCE whose rewards, before any evaluation, are those of single batches of validation examples.

    Networks of the region that the controller draws train a copy of the supernet; others that it draws are rewarded by
    the cross entropy of a batch. What is evaluated in the end teaches it as it teaches REINFORCE.
    """

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
            self._descend(descent)
        return super()._draw(n)


class _Chooser(nn.Module):
    """The controller, and the mean reward that rewards are compared with."""

    def __init__(self, controller: Controller, memory: float) -> None:
        super().__init__()
        self.controller = controller
        self.baseline = Baseline(memory)


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
        self._state = _Chooser(controller, strategy.memory)
        super().__init__(weights, options, self._state, strategy.learning_rate)
        self._strategy, self._region = strategy, strategy.region

    def take_step(self) -> dict[str, str]:
        """Train one network that the controller draws, then reward others."""
        rng = np.random.default_rng([self.seed, self.descent.step])
        (architecture,) = self.space.decode(self._draw(1, rng)[0])
        student = Student(self.supernet.network(architecture), partial(self.space.prepare, architecture=architecture))
        loss = self.descent.descend([student], distil=False)
        rows, own = self._draw(self._strategy.rewarded, rng)
        if not own.any():  # the region is so rare that the controller does not draw of it
            return {"loss": f"{loss:.3f}"}
        rewards = torch.tensor([-self._loss(row) for row in rows[own]], device=self.descent.device)
        log_probability, entropy = self._state.controller.log_probabilities(rows[own])
        gain = (self._state.baseline.advantages(rewards) * log_probability).mean()
        self._optimizer.zero_grad()
        (-gain - self._strategy.entropy * entropy.mean()).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return {"loss": f"{loss:.3f}", "reward": f"{float(rewards.mean()):.3f}"}

    def _draw(self, n: int, rng: np.random.Generator) -> tuple[Population, NDArray[np.bool_]]:
        """Return networks of the region (n, choices), and which of them (n,) the controller drew."""
        return draw_within(self._region, n, lambda m: self._state.controller.draw(m, rng), rng)

    def _loss(self, row: NDArray[np.integer]) -> float:
        (architecture,) = self.space.decode(row[None])
        examples, labels = self.examples(self.data.validation)
        self.supernet.train()  # with statistics of the batch: those that are remembered mix all networks
        with torch.no_grad():
            inputs = self.space.prepare(examples, architecture)
            logits = self.supernet.network(architecture)(*inputs)
        return cross_entropy(logits, labels, ignore_index=IGNORED).item()
