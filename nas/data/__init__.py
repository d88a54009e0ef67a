"""Data sets: read, checked, split, and handed out in batches for training and searching."""

from nas.data.dataset import Dataset, Part
from nas.data.loading import load_data
from nas.data.options import Augmentation, DataOptions

__all__ = ["Augmentation", "DataOptions", "Dataset", "Part", "load_data"]
