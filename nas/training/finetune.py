"""Short training of one extracted network on its own."""

from torch import nn

from nas.data import Dataset
from nas.data.dataset import Prepare
from nas.training.descent import Descent, Student
from nas.training.options import TrainingOptions
from search_spaces.progress import progress_bar


def finetune(
    network: nn.Module, data: Dataset, prepare: Prepare, options: TrainingOptions, *, progress: bool = True
) -> None:
    """Train a network in place on the training part of the data, and leave it in evaluation mode.

    Args:
        network: a static network, extracted from a supernet or freshly built.
        data: the data set.
        prepare: makes the network's inputs of a batch.
        options: how it is trained.
        progress: whether to show a bar.

    Raises:
        InputError: training diverges, or an option does nothing to the data.
    """
    data.require_heeded(options.augmentation)
    home = next(network.parameters()).device
    descent = Descent(network, data, options)
    with progress_bar(descent.n_steps, "finetune", "step", show=progress) as bar:
        while descent.step < descent.n_steps:
            descent.descend([Student(network, prepare)], distil=False)
            bar.update()
    network.to(home).eval()
