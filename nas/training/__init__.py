"""Training of shared weights: which architectures each step trains, the loop, and its checkpoints."""

from nas.training.checkpoint import Checkpoint, load_checkpoint
from nas.training.finetune import finetune
from nas.training.options import SupernetOptions, TrainingOptions
from nas.training.train_supernet import train_supernet

__all__ = [
    "Checkpoint",
    "SupernetOptions",
    "TrainingOptions",
    "finetune",
    "load_checkpoint",
    "train_supernet",
]
