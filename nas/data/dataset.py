"""The data set that training and searching see, and how it is loaded."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import torch

from nas.data.decoding import Form
from nas.data.images import Images
from nas.data.options import DataOptions
from nas.data.partition import partition
from nas.data.scanning import Scan, scan
from search_spaces.errors import InputError

_IMAGE_SIZE = 32

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images in three parts, the last of which is out of reach until the final report.

    Attributes:
        name: of the source, without its folder.
        options: what it was loaded by.
        classes: class names; a label is an index into them.
        train: images to train on.
        validation: images to search and choose by.
        mean: per channel, of the training images' pixels in 0..1.
        std: likewise.
        flip: whether a horizontal flip keeps the label.
        fingerprint: the same for the same images, labels, split and stored form.
        test_reader: decodes the test images; call `read_test` instead.
        skipped: the images left out because they cannot be decoded, each with the reason.
        notes: what a reader of results on this data should know.
    """

    name: str
    options: DataOptions
    classes: tuple[str, ...]
    train: Images
    validation: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    fingerprint: str
    test_reader: Callable[[], Images] = field(repr=False)
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Of the images: 1 or 3."""
        return len(self.mean)

    def read_test(self) -> Images:
        """Return the test images, decoded now: only the final report may look at them."""
        return self.test_reader()


@lru_cache(maxsize=1)  # the verbs of one run read the same data
def load_data(options: DataOptions) -> Dataset:
    """Read a data set, check that every image can be decoded, and split it.

    Raises:
        InputError: the data cannot be used as they are; the message says how to mend them.
    """
    side = options.image_size or _IMAGE_SIZE
    options = dataclasses.replace(options, image_size=side)
    name = Path(options.source).expanduser().absolute().name.removesuffix(".parquet")
    examples, notes = partition(options)
    form = Form(options.channels, side)
    n_bytes = form.channels * form.side**2 * sum(map(len, examples.values()))
    keep = n_bytes <= options.memory_gb * 1e9
    scans = {part: scan(found, form, keep and part != "test", f"{name}: {part}") for part, found in examples.items()}
    skipped = _skipped(options, scans)
    notes = (*notes, *_repetitions(options, scans))
    for note in notes:
        logger.warning("%s %s", name, note)
    mean, std = scans["train"].mean_and_std()
    return Dataset(
        name=name,
        options=options,
        classes=examples["train"].classes,
        train=scans["train"].images(),
        validation=scans["validation"].images(),
        mean=mean,
        std=std,
        flip=options.source != "digits",
        fingerprint=_fingerprint(options, scans),
        test_reader=partial(_read_test, scans["test"], keep),
        skipped=skipped,
        notes=notes,
    )


def _read_test(test: Scan, keep: bool) -> Images:
    images = test.images()
    return Images(images.labels, images[torch.arange(len(images))]) if keep else images


def _skipped(options: DataOptions, scans: Mapping[str, Scan]) -> tuple[str, ...]:
    """Return the unreadable images, if they may be left out and leave some of every class in every part."""
    skipped = [f"{found.examples.place(i)} {why}" for found in scans.values() for i, why in found.problems.items()]
    if skipped and not options.skip_corrupt:
        more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
        raise InputError(f"{skipped[0]}{more}: replace it, or leave out such images with --data.skip-corrupt")
    for part, found in scans.items():
        present = set(found.readable().labels.tolist())
        absent = [name for label, name in enumerate(found.examples.classes) if label not in present]
        if absent:
            raise InputError(f"no readable image of class {absent[0]!r} is in the {part} part: add some")
    return tuple(skipped)


def _repetitions(options: DataOptions, scans: Mapping[str, Scan]) -> Iterator[str]:
    """Yield a note for a part with images that an earlier part has too, told by their files' content."""
    seen: set[bytes] = set()
    for part, found in scans.items():
        n_seen = sum(digest in seen for digest in found.digests)
        if part == "test" and options.test_source and n_seen == len(found.digests):
            raise InputError(f"every image of {options.test_source} is also trained or validated on: test on others")
        if n_seen:
            yield f"has {n_seen} {part} images that are also in an earlier part"
        seen.update(found.digests)


def _fingerprint(options: DataOptions, scans: Mapping[str, Scan]) -> str:
    split = [options.validation_fraction, options.split_seed, options.channels, options.image_size]
    digest = hashlib.sha256(json.dumps([scans["train"].examples.classes, split]).encode())
    for part, found in scans.items():
        digest.update(f"{part} {len(found.digests)}".encode())
        digest.update(found.examples.labels.numpy().tobytes())
        digest.update(b"".join(found.digests))
    return digest.hexdigest()
