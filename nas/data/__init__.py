"""Data sets of labelled images: read, checked, split, and augmented for training and searching."""

from nas.data.augmentation import Augmentation, augment, normalise, resize
from nas.data.dataset import Dataset, load_data
from nas.data.images import Images
from nas.data.options import DataOptions

__all__ = ["Augmentation", "DataOptions", "Dataset", "Images", "augment", "load_data", "normalise", "resize"]
