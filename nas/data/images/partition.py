"""Training, validation and test examples: the source's own parts where it has them, else cut from its training part."""

from collections.abc import Mapping
from typing import NamedTuple

import torch

from nas.data.images.examples import Examples
from nas.data.images.sources import find_parts
from nas.data.images.splits import split
from nas.data.options import DataOptions
from nas.data.parts import TEST_FRACTION, TEST_SEED
from search_spaces.errors import InputError

# names spelled out in a message, of possibly many
N_NAMED = 5


class Partition(NamedTuple):
    """The 'train', 'validation' and 'test' examples, of the same classes, and what to say about their making."""

    examples: Mapping[str, Examples]
    notes: tuple[str, ...]


def partition(options: DataOptions) -> Partition:
    """Read and divide the source.

    Raises:
        InputError: the source is not usable, or its parts do not have the same two or more classes.
    """
    parts = find_parts(options.source)
    if "train" not in parts:
        raise InputError(f"{options.source} has only the parts {', '.join(parts)}: expected a train part")
    train = parts["train"]()
    test = _read_test(options, train)
    validation = _agreeing(parts["validation"](), train, "validation part") if "validation" in parts else None
    _check_classes(options.source, train, n_needed=1 + (test is None) + (validation is None))
    notes = []
    if test is None:
        train, test = _cut(train, TEST_FRACTION, TEST_SEED)
        notes.append(
            f"has no test part, so {len(test)} images ({TEST_FRACTION:.0%} of each class) are set apart as one"
        )
    if validation is None:
        train, validation = _cut(train, options.validation_fraction, options.split_seed)
    else:
        notes.append("has its own validation part, which is used instead of a fraction of the training part")
    return Partition({"train": train, "validation": validation, "test": test}, tuple(notes))


def _read_test(options: DataOptions, train: Examples) -> Examples | None:
    """Return the separate test data or the source's own test part, if there is either."""
    source = options.test_source or options.source
    parts = find_parts(source)
    if "test" in parts:
        return _agreeing(parts["test"](), train, f"test part of {source}")
    if options.test_source is None:
        return None
    if len(parts) > 1:
        raise InputError(f"{source} has the parts {', '.join(parts)}: give the file or folder of the one to test on")
    (read,) = parts.values()
    return _agreeing(read(), train, f"test data {source}")


def _agreeing(part: Examples, train: Examples, name: str) -> Examples:
    """Return `part` with labels that index the classes of `train`."""
    missing = sorted(set(train.classes) - set(part.classes))
    extra = sorted(set(part.classes) - set(train.classes))
    if missing or extra:
        raise InputError(
            f"the {name} has other classes than the training data: missing {', '.join(missing[:N_NAMED]) or 'none'}, "
            f"not known {', '.join(extra[:N_NAMED]) or 'none'}; expected the same ones"
        )
    return part.relabel(train.classes)


def _check_classes(source: str, examples: Examples, n_needed: int) -> None:
    """Fail unless there are two classes or more, each with `n_needed` images or more."""
    if len(examples.classes) < 2:
        raise InputError(f"{source} has one class, {examples.classes[0]!r}: expected two or more to tell apart")
    n_examples = torch.bincount(examples.labels, minlength=len(examples.classes)).tolist()
    few = [f"{name!r} has {n}" for name, n in zip(examples.classes, n_examples, strict=True) if n < n_needed]
    if few:
        raise InputError(
            f"{source} has too few images in a class ({', '.join(few[:N_NAMED])}): "
            f"expected {n_needed} or more to have one in each part, so add images or remove the class"
        )


def _cut(examples: Examples, fraction: float, seed: int) -> tuple[Examples, Examples]:
    kept, cut = split(examples.labels, fraction, seed)
    return examples.take(kept), examples.take(cut)
