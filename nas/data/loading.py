"""Which reader a data source needs."""

from functools import lru_cache

from nas.data.dataset import Dataset
from nas.data.images.dataset import load_images
from nas.data.options import DataOptions


@lru_cache(maxsize=1)  # the verbs of one run read the same data
def load_data(options: DataOptions) -> Dataset:
    """Read a data set, check all of it, and split it.

    Raises:
        InputError: the data cannot be used as they are; the message says how to mend them.
    """
    return load_images(options)
