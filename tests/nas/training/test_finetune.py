"""Finetuning improves a network and leaves it ready to use."""

from functools import partial

import torch

from nas.data import Augmentation, Dataset
from nas.evaluation.batches import Batches
from nas.evaluation.shared_weights import score
from nas.supernet import Supernet
from nas.training import TrainingOptions, finetune
from search_spaces import SearchSpace

OPTIONS = TrainingOptions(epochs=5, batch_size=16, learning_rate=0.5, device="cpu", augmentation=Augmentation(crop=0))


def test_a_network_is_improved_and_left_in_evaluation_mode(tiny: SearchSpace, data: Dataset) -> None:
    torch.manual_seed(0)
    supernet = Supernet(tiny).eval()
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    network = supernet.extract(tiny.smallest())
    prepare = partial(tiny.prepare, architecture=tiny.smallest())
    loss = score(network, Batches(data, data.train), prepare)["cross_entropy"]
    finetune(network, data, prepare, OPTIONS, progress=False)
    assert not any(module.training for module in network.modules())
    after = score(network, Batches(data, data.validation), prepare)
    assert after["cross_entropy"] < 0.8 * loss
    assert after["accuracy"] > 0.5
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())


def test_equal_seeds_give_equal_networks(tiny: SearchSpace, data: Dataset) -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(tiny.build(tiny.smallest()))
        torch.rand(len(networks))
        finetune(networks[-1], data, partial(tiny.prepare, architecture=tiny.smallest()), OPTIONS, progress=False)
    for one, other in zip(*(network.state_dict().values() for network in networks), strict=True):
        assert torch.equal(one, other)
