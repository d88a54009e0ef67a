import torch
from torch import nn

from search_spaces.images import channels_last


def test_kernels_over_images_are_laid_out_channels_last_and_others_stay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3), nn.Linear(3, 4))
    before = [parameter.clone() for parameter in network.parameters()]
    channels_last(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[1].weight.is_contiguous()
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
