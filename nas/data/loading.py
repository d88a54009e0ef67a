"""Which reader a data source needs."""

import dataclasses
from functools import lru_cache

from nas.data.dataset import Dataset
from nas.data.images.dataset import ImageDataset, load_images
from nas.data.options import DataOptions
from nas.data.points.dataset import PointDataset, load_points
from nas.data.points.sources import holds_points
from search_spaces.errors import InputError

_FIELDS = {
    ImageDataset.examples: ("channels", "image_size"),
    PointDataset.examples: ("n_scenes", "tile_metres", "max_points"),
}
"""The options that one kind of data alone has a use for."""

_PLAIN = DataOptions("none")


@lru_cache(maxsize=1)  # the verbs of one run read the same data
def load_data(options: DataOptions) -> Dataset:
    """Read a data set, check all of it, and split it.

    Raises:
        InputError: the data cannot be used as they are; the message says how to mend them.
    """
    kind = examples_of(options.source)
    foreign = next(other for other in _FIELDS if other != kind)
    for field in dataclasses.fields(options):
        if field.name in _FIELDS[foreign] and getattr(options, field.name) != getattr(_PLAIN, field.name):
            value = getattr(options, field.name)
            raise InputError(
                f"data option {field.name} {value!r} is of {foreign}, but {options.source} holds {kind}: leave it out"
            )
    return load_points(options) if kind == PointDataset.examples else load_images(options)


def examples_of(source: str) -> str:
    """Return what a source holds, without reading it: images or clouds."""
    return PointDataset.examples if holds_points(source) else ImageDataset.examples
