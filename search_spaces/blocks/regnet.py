"""The block of RegNets: a residual bottleneck whose 3x3 convolution is grouped."""

import dataclasses

import torch
from torch import Tensor, nn

from search_spaces.block import TensorSpec
from search_spaces.blocks.mobile import ImageBlock, SqueezeExcite, conv_norm, strided


@dataclasses.dataclass(frozen=True)
class GroupedBottleneck(ImageBlock):
    """1x1, grouped 3x3 and 1x1 convolution of one width beside a shortcut (Radosavovic et al., CVPR 2020).

    The shortcut is a 1x1 convolution where the shape changes. With `squeeze_excite`, as RegNetY has it, behind the
    3x3 convolution: a quarter of the block's own input channels, and a plain sigmoid. Each group of the 3x3
    convolution reads `group_width` channels and writes as many, so that a narrower block of the same group width
    holds the first groups of a wider one; one of another group width is no part of it.
    """

    out_channels: int
    stride: int
    group_width: int
    squeeze_excite: bool

    @property
    def output(self) -> TensorSpec:
        size = strided(self.size, self.stride)
        return TensorSpec((self.out_channels, size, size))

    def build(self) -> nn.Module:
        return _GroupedBottleneck(self)


class _GroupedBottleneck(nn.Module):
    def __init__(self, block: GroupedBottleneck) -> None:
        super().__init__()
        before, width = block.in_channels, block.out_channels
        keeps_shape = block.stride == 1 and before == width
        self.shortcut = nn.Sequential(*([] if keeps_shape else conv_norm(before, width, 1, block.stride)))
        self.reduce = nn.Sequential(*conv_norm(before, width, 1), nn.ReLU())
        grouped = conv_norm(width, width, 3, block.stride, groups=width // block.group_width)
        self.grouped = nn.Sequential(*grouped, nn.ReLU())
        self.attend: nn.Module = nn.Identity()
        if block.squeeze_excite:
            self.attend = SqueezeExcite(width, round(before / 4), torch.relu, torch.sigmoid)
        self.project = nn.Sequential(*conv_norm(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shortcut(x) + self.project(self.attend(self.grouped(self.reduce(x))))
        return y.relu()
