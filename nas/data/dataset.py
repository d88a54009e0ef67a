"""What training and searching need of a data set, of whatever kind its examples are."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from nas.config import said
from nas.data.options import Augmentation, DataOptions
from search_spaces.errors import InputError

ALL = slice(0, None)

IGNORED = -1
"""The label of what is neither trained nor scored on."""


Prepare = Callable[[Any], tuple[Tensor, ...]]
"""A batch of data -> a network's inputs: `SearchSpace.prepare` for one architecture."""


class Part(Protocol):
    """The examples of one part of a data set, asked for by their positions."""

    def __len__(self) -> int:
        """Return how many examples there are."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset(ABC):
    """Examples in three parts, the last of which is out of reach until the final report.

    Attributes:
        metrics: what networks are scored by on this kind of data, the one that matters most first.
        examples: what one example is called, in the plural.
        augmented_by: the fields of `Augmentation` that `augmented` heeds.
        scored_at_once: how many examples make a batch where nothing is trained.
        n_statistics: from how many training examples batch-norm statistics are estimated, unless it is said.
        onnx_takes: what the exported network reads in one run, in words for the bundle's reader.
        name: of the source, without its folder.
        options: what it was loaded by.
        classes: class names; a label is an index into them, or `IGNORED`.
        train: examples to train on.
        validation: examples to search and choose by.
        fingerprint: the same for the same examples, labels, split and stored form.
        test_reader: reads the test examples; call `read_test` instead.
        skipped: the examples left out because they cannot be read, each with the reason.
        notes: what a reader of results on this data should know.
    """

    metrics: ClassVar[tuple[str, ...]]
    examples: ClassVar[str]
    augmented_by: ClassVar[tuple[str, ...]]
    scored_at_once: ClassVar[int]
    n_statistics: ClassVar[int]
    onnx_takes: ClassVar[str]

    name: str
    options: DataOptions
    classes: tuple[str, ...]
    train: Part
    validation: Part
    fingerprint: str
    test_reader: Callable[[], Part] = field(repr=False)
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def require_heeded(self, augmentation: Augmentation) -> None:
        """Raise if the augmentation says anything that does nothing to this kind of data."""
        for name, value in said(augmentation).items():
            if name not in self.augmented_by:
                raise InputError(f"augmentation {name} {value!r} does nothing to {self.examples}: leave it out")

    def read_test(self) -> Part:
        """Return the test examples, read now: only the final report may look at them."""
        return self.test_reader()

    @abstractmethod
    def batch(self, part: Part, indices: Tensor, device: torch.device) -> tuple[Any, Tensor]:
        """Return examples in the form that `SearchSpace.prepare` takes, and their labels (rows,), on the device.

        Args:
            part: one of this data set's parts.
            indices: positions of the examples in it, int64 (B,).
            device: where they are wanted.
        """

    @abstractmethod
    def augmented(
        self,
        indices: Tensor,
        device: torch.device,
        augmentation: Augmentation,
        generator: torch.Generator,
        share: slice = ALL,
    ) -> tuple[Any, Tensor]:
        """Return varied training examples, as `batch` does; the generator's state alone decides how they vary.

        Args:
            indices: as in `batch`.
            device: likewise.
            augmentation: how they may vary.
            generator: on the processor.
            share: which of the examples are wanted, with a start; they vary as they do among all of them.
        """

    @abstractmethod
    def space_options(self) -> dict[str, Any]:
        """Return the options of a search space that the data dictate, such as `n_classes`."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return as plain values what a user of a network must know to prepare an example and read the output."""

    @abstractmethod
    def write_example(self, directory: Path) -> None:
        """Write a validation example into a bundle, for its snippet to run on."""

    @property
    @abstractmethod
    def snippet(self) -> str:
        """Lines of Python that run a bundle's network on its example, from within its folder."""

    @property
    @abstractmethod
    def requirements(self) -> str:
        """The packages that the snippet needs."""
