"""Which reader a data source needs."""

from functools import lru_cache

from nas.data.dataset import Dataset
from nas.data.images.dataset import load_images
from nas.data.options import DataOptions
from nas.data.points.dataset import load_points
from nas.data.points.sources import holds_points


@lru_cache(maxsize=1)  # the verbs of one run read the same data
def load_data(options: DataOptions) -> Dataset:
    """Read a data set, check all of it, and split it.

    Raises:
        InputError: the data cannot be used as they are; the message says how to mend them.
    """
    return load_points(options) if holds_points(options.source) else load_images(options)
