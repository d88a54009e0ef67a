"""Blocks of the mobile convolutional networks: stem, inverted residual, and the classifying heads."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.block import Block, TensorSpec

Activation = Literal["relu", "relu6", "hard_swish", "swish", "identity"]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
    "swish": nn.SiLU,
    "identity": nn.Identity,
}


def divisible(channels: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of `divisor` that is not more than 10 % smaller (Sandler et al., CVPR 2018)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def strided(size: int, stride: int) -> int:
    """Return the output size of a 'same'-padded convolution with an odd kernel."""
    return (size - 1) // stride + 1


def conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a 'same'-padded convolution without bias, and batch normalisation."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    return [conv, nn.BatchNorm2d(out_channels)]


@dataclasses.dataclass(frozen=True)
class ImageBlock(Block):
    """A block that reads square feature maps of `size` x `size`."""

    size: int
    in_channels: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec((self.in_channels, self.size, self.size)),)


@dataclasses.dataclass(frozen=True)
class ConvolutionalBlock(ImageBlock):
    """A block that writes feature maps, `stride` times smaller."""

    out_channels: int
    kernel: int
    stride: int
    activation: Activation

    @property
    def output(self) -> TensorSpec:
        size = strided(self.size, self.stride)
        return TensorSpec((self.out_channels, size, size))


@dataclasses.dataclass(frozen=True)
class ConvNorm(ConvolutionalBlock):
    """Convolution, batch normalisation, activation."""

    def build(self) -> nn.Module:
        layers = conv_norm(self.in_channels, self.out_channels, self.kernel, self.stride)
        return nn.Sequential(*layers, _ACTIVATIONS[self.activation]())


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al., CVPR 2018).

    Args:
        channels: that are scaled.
        middle: channels between the two layers that find the scales.
        activation: between these layers.
        gate: maps what the second gives to scales from 0 to 1.
    """

    def __init__(
        self, channels: int, middle: int, activation: Callable[[Tensor], Tensor], gate: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.activation, self.gate = activation, gate
        self.reduce = nn.Conv2d(channels, middle, 1)
        self.expand = nn.Conv2d(middle, channels, 1)
        for conv in (self.reduce, self.expand):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # the stub says that a bias may be missing

    def forward(self, x: Tensor) -> Tensor:
        """Return x (batch, channels, height, width) scaled channel by channel."""
        return x * self.gate(self.expand(self.activation(self.reduce(x.mean((2, 3), keepdim=True)))))


@dataclasses.dataclass(frozen=True)
class _ResidualBlock(ConvolutionalBlock):
    """A block with `middle_channels` between its first 1x1 convolution and its last, and maybe a shortcut."""

    middle_channels: int

    @property
    def growing(self) -> tuple[str, ...]:
        return ("kernel", "middle_channels")

    def silence(self, module: nn.Module) -> None:
        """Start the branch at zero by the scale of its last norm (Goyal et al., 2017)."""
        assert isinstance(module, _InvertedResidual | _GroupedResidual)
        if not module.shortcut:
            super().silence(module)
        nn.init.zeros_(module.project[1].weight)  # type: ignore[arg-type]  # of a norm


@dataclasses.dataclass(frozen=True)
class InvertedResidual(_ResidualBlock):
    """1x1 expansion, depthwise convolution, optional squeeze-excitation, 1x1 projection (Sandler et al., CVPR 2018).

    Without expansion when `middle_channels` equals `in_channels`; with a shortcut when the shape is kept.
    Squeeze-excitation is MobileNetV3's: a quarter of the middle channels, and a hard sigmoid.
    """

    squeeze_excite: bool

    def build(self) -> nn.Module:
        if not self.squeeze_excite:
            return _InvertedResidual(self, nn.Identity())
        reduced = divisible(self.middle_channels // 4)
        attend = SqueezeExcite(self.middle_channels, reduced, torch.relu, nn.functional.hardsigmoid)
        return _InvertedResidual(self, attend)


@dataclasses.dataclass(frozen=True)
class MBConv(_ResidualBlock):
    """An inverted residual as EfficientNet has it (Tan and Le, ICML 2019).

    Squeeze-excitation has a quarter of the block's own input channels in the middle, and a plain sigmoid.
    """

    def build(self) -> nn.Module:
        reduced = max(1, self.in_channels // 4)
        return _InvertedResidual(self, SqueezeExcite(self.middle_channels, reduced, nn.functional.silu, torch.sigmoid))


class _InvertedResidual(nn.Module):
    def __init__(self, block: InvertedResidual | MBConv, attend: nn.Module) -> None:
        super().__init__()
        middle, activation = block.middle_channels, _ACTIVATIONS[block.activation]
        self.shortcut = block.stride == 1 and block.in_channels == block.out_channels
        expand: list[nn.Module] = []
        if middle != block.in_channels:
            expand = [*conv_norm(block.in_channels, middle, 1), activation()]
        self.expand = nn.Sequential(*expand)
        self.depthwise = nn.Sequential(
            *conv_norm(middle, middle, block.kernel, block.stride, groups=middle), activation()
        )
        self.attend = attend
        self.project = nn.Sequential(*conv_norm(middle, block.out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.attend(self.depthwise(self.expand(x))))
        return x + y if self.shortcut else y


@dataclasses.dataclass(frozen=True)
class GroupedResidual(_ResidualBlock):
    """1x1 convolution, depthwise convolution, 1x1 convolution, as FBNet has them (Wu et al., CVPR 2019).

    The first is there even if it does not expand. The 1x1 convolutions may be grouped; then the channels are shuffled
    between the groups behind the first (Zhang et al., CVPR 2018). With a shortcut when the shape is kept.
    """

    groups: int

    def build(self) -> nn.Module:
        return _GroupedResidual(self)

    @property
    def growing(self) -> tuple[str, ...]:
        return super().growing if self.groups == 1 else ("kernel",)


class _GroupedResidual(nn.Module):
    def __init__(self, block: GroupedResidual) -> None:
        super().__init__()
        middle, groups, activation = block.middle_channels, block.groups, _ACTIVATIONS[block.activation]
        self.shortcut = block.stride == 1 and block.in_channels == block.out_channels
        self.expand = nn.Sequential(*conv_norm(block.in_channels, middle, 1, groups=groups), activation())
        self.shuffle = nn.ChannelShuffle(groups) if groups > 1 else nn.Identity()
        self.depthwise = nn.Sequential(
            *conv_norm(middle, middle, block.kernel, block.stride, groups=middle), activation()
        )
        self.project = nn.Sequential(*conv_norm(middle, block.out_channels, 1, groups=groups))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.shuffle(self.expand(x))))
        return x + y if self.shortcut else y


@dataclasses.dataclass(frozen=True)
class PooledClassifier(ImageBlock):
    """Average pooling, an optional 1x1 feature layer (MobileNetV3's, not normalised), dropout, linear classifier."""

    features: int | None
    n_classes: int
    dropout: float

    @property
    def output(self) -> TensorSpec:
        return TensorSpec((self.n_classes,))

    def build(self) -> nn.Module:
        return _PooledClassifier(self)


class _PooledClassifier(nn.Module):
    def __init__(self, block: PooledClassifier) -> None:
        super().__init__()
        mix: list[nn.Module] = []
        if block.features is not None:
            mix = [nn.Linear(block.in_channels, block.features, bias=False), nn.Hardswish()]
        self.mix = nn.Sequential(*mix)
        self.dropout = nn.Dropout(block.dropout)
        self.classifier = nn.Linear(block.features or block.in_channels, block.n_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.mean(x, (2, 3))
        logits: Tensor = self.classifier(self.dropout(self.mix(pooled)))
        return logits
