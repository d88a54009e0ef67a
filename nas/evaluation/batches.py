"""Examples on their way into networks that are scored, one network after the other on the same examples."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from nas.data import Dataset, Part
from nas.data.dataset import Prepare


class Batches:
    """Some examples of one part of the data, in batches that are the same each time.

    Batches stay in memory as far as `DataOptions.memory_gb` allows, and with them what a space makes of them only once,
    such as the geometry of clouds.

    Args:
        data: the data set.
        part: one of its parts.
        at_most: so many examples are drawn, always the same; None for all.
    """

    def __init__(self, data: Dataset, part: Part, at_most: int | None = None) -> None:
        self.data = data
        # in random order: files come class by class, and batches should not
        self.indices = torch.randperm(len(part), generator=torch.Generator().manual_seed(0))[:at_most]
        self._part = part
        self._kept: dict[tuple[int, torch.device], tuple[Any, Tensor]] = {}
        self._free = data.options.memory_gb * 1e9 / 2  # half is for examples of the other part

    def prepared(self, prepare: Prepare, device: torch.device) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Yield a network's inputs and the labels (rows,), in batches that differ by one example at most in size."""
        parts = self.indices.tensor_split(math.ceil(len(self.indices) / self.data.scored_at_once))
        for number, chosen in enumerate(parts):
            kept = self._kept.get((number, device))
            batch, labels = kept or self.data.batch(self._part, chosen, device)
            inputs = prepare(batch)
            if kept is None:
                n_bytes = max(batch.nbytes, sum(tensor.nbytes for tensor in inputs))
                self._keep(number, device, (batch, labels), n_bytes)
            yield inputs, labels

    def _keep(self, number: int, device: torch.device, batch: tuple[Any, Tensor], n_bytes: int) -> None:
        if n_bytes <= self._free:
            self._kept[number, device] = batch
            self._free -= n_bytes
