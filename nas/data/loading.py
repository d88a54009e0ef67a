"""Which reader a data source needs."""

import dataclasses
import hashlib
from functools import lru_cache

from nas.data.dataset import Dataset
from nas.data.images.dataset import ImageDataset, load_images
from nas.data.options import DataOptions
from nas.data.points.dataset import PointDataset, load_points
from nas.data.points.sources import holds_points
from nas.data.source import NAMED
from nas.remote.working_copy import at_hand, told
from search_spaces.errors import InputError

_FIELDS = {
    ImageDataset.examples: ("channels", "image_size"),
    PointDataset.examples: ("n_scenes", "tile_metres", "max_points"),
}
"""The options that one kind of data alone has a use for."""

_PLAIN = DataOptions("none")


def load_data(options: DataOptions) -> Dataset:
    """Read a data set, check all of it, and split it; the same again is what was read before, if no file has changed.

    Raises:
        InputError: the data cannot be used as they are; the message says how to mend them.
    """
    return _load(options, _state(options.source), _state(options.test_source))


def _state(source: str | None) -> str:
    """Return a digest of the names, sizes and times of a source's files."""
    path = at_hand(source or "").expanduser()
    if source is None or source in NAMED or not path.exists():
        return ""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        stat = file.stat() if file.exists() else file.lstat()  # a link to nothing is for the reader to tell
        digest.update(f"{file} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)  # the verbs of one run read the same data
def _load(options: DataOptions, *_states: str) -> Dataset:
    kind = examples_of(options.source)
    if options.test_source is not None and (other := examples_of(options.test_source)) != kind:
        raise InputError(f"{options.source} holds {kind}, but the test data {options.test_source} hold {other}")
    foreign = next(other for other in _FIELDS if other != kind)
    for field in dataclasses.fields(options):
        if field.name in _FIELDS[foreign] and getattr(options, field.name) != getattr(_PLAIN, field.name):
            value = getattr(options, field.name)
            raise InputError(
                f"data option {field.name} {value!r} is of {foreign}, but {options.source} holds {kind}: leave it out"
            )
    test_source = None if options.test_source is None else str(at_hand(options.test_source))
    here = dataclasses.replace(options, source=str(at_hand(options.source)), test_source=test_source)
    data = load_points(here) if kind == PointDataset.examples else load_images(here)
    named = dataclasses.replace(data.options, source=options.source, test_source=options.test_source)
    notes, skipped = (tuple(map(told, lines)) for lines in (data.notes, data.skipped))
    return dataclasses.replace(data, options=named, notes=notes, skipped=skipped)


def examples_of(source: str) -> str:
    """Return what a source holds, without reading it: images or clouds."""
    return PointDataset.examples if holds_points(str(at_hand(source))) else ImageDataset.examples
