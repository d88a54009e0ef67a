"""Shared weights in training together with what chooses among their networks: resumable."""

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.data import Part
from nas.evaluation.shared_weights import SharedWeights
from nas.supernet import Supernet
from nas.training.checkpoint import Checkpoint, resumed
from nas.training.descent import Descent, random_numbers, set_state_by_name, state_by_name
from nas.training.options import TrainingOptions
from nas.training.train_supernet import describe
from search_spaces.progress import progress_bar

_CHECKPOINT_SECONDS = 60.0


class JointDescent(ABC):
    """A copy of some shared weights, and a chooser that learns which of their networks are good.

    Every step is a function of the seed, its number, and the state before it.

    Args:
        weights: the supernet, of which a copy is trained, and the data.
        options: how the weights are trained; their seed decides everything else, too.
        chooser: parameters that say how networks are drawn, and buffers for what is remembered.
        rate: learning rate of the chooser, by Adam.
        betas: of Adam.
    """

    def __init__(
        self,
        weights: SharedWeights,
        options: TrainingOptions,
        chooser: nn.Module,
        rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.data, self.space, self.seed = weights.data, weights.space, options.seed
        self.supernet: Supernet = copy.deepcopy(weights.supernet)
        self.descent = Descent(self.supernet, weights.data, options)
        self._chooser = chooser.to(self.descent.device)
        self._optimizer = torch.optim.Adam(chooser.parameters(), rate, betas)

    def run(self, directory: Path | None, belongs_to: Mapping[str, Any], *, progress: bool = True) -> None:
        """Take all steps, or go on where an earlier call in the same directory was stopped.

        Args:
            directory: for the checkpoint; None: none is kept.
            belongs_to: what the steps depend on beside the data, the space and the seed.
            progress: whether to show a bar.

        Raises:
            InputError: the directory holds another descent.
        """
        depends_on = {**belongs_to, "seed": self.seed}
        start = Checkpoint(0, self.descent.n_steps, self.space.to_json(), depends_on, describe(self.data), {}, {})
        if directory and (found := resumed(directory, start)):
            self._resume(found)
        saved = time.monotonic()
        with progress_bar(self.descent.n_steps, "descend", "step", done=self.descent.step, show=progress) as bar:
            while not self.is_over():
                bar.set_postfix(self.take_step())
                bar.update()
                if directory and (self.is_over() or time.monotonic() - saved > _CHECKPOINT_SECONDS):
                    self._save(start, directory)
                    saved = time.monotonic()

    @abstractmethod
    def take_step(self) -> dict[str, str]:
        """Take one step of the weights, and some of the chooser; return what to show of it."""

    def is_over(self) -> bool:
        """Tell whether all steps are taken."""
        return self.descent.step == self.descent.n_steps

    @property
    def progress(self) -> float:
        """The share of the steps that is done."""
        return self.descent.step / self.descent.n_steps

    @property
    def epoch(self) -> int:
        """The number of the epoch that the last step was in, from 0."""
        return (self.descent.step - 1) // self.descent.steps_per_epoch

    def examples(self, part: Part) -> tuple[Any, Tensor]:
        """Return this step's examples for the chooser, and their labels."""
        generator = random_numbers(self.seed, self.descent.step, "examples for the chooser")
        indices = torch.randperm(len(part), generator=generator)[: self.descent.options.batch_size]
        return self.data.batch(part, indices, self.descent.device)

    def _save(self, start: Checkpoint, directory: Path) -> None:
        weights = {f"supernet.{name}": value for name, value in self.supernet.state_dict().items()}
        weights |= {f"chooser.{name}": value for name, value in self._chooser.state_dict().items()}
        optimizer = {f"supernet.{name}": value for name, value in self.descent.optimizer_state().items()}
        of_chooser = state_by_name(self._optimizer, dict(self._chooser.named_parameters()))
        optimizer |= {f"chooser.{name}": value for name, value in of_chooser.items()}
        replace(start, step=self.descent.step, weights=weights, optimizer=optimizer).save(directory)

    def _resume(self, found: Checkpoint) -> None:
        self.supernet.load_state_dict(_below("supernet.", found.weights))
        self._chooser.load_state_dict(_below("chooser.", found.weights))
        self.descent.set_optimizer_state(_below("supernet.", found.optimizer))
        parameters = dict(self._chooser.named_parameters())
        set_state_by_name(self._optimizer, parameters, _below("chooser.", found.optimizer))
        self.descent.step = found.step


def _below(prefix: str, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
