"""Blocks of the mobile convolutional networks: stem, inverted residual, and the classifying heads."""

import dataclasses
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.block import Block, TensorSpec

Activation = Literal["relu", "relu6", "hard_swish", "identity"]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
    "identity": nn.Identity,
}


def divisible(channels: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of `divisor` that is not more than 10 % smaller (Sandler et al., CVPR 2018)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def strided(size: int, stride: int) -> int:
    """Return the output size of a 'same'-padded convolution with an odd kernel."""
    return (size - 1) // stride + 1


def _conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    return [conv, nn.BatchNorm2d(out_channels)]


@dataclasses.dataclass(frozen=True)
class _ImageBlock(Block):
    """A block that reads square feature maps of `size` x `size`."""

    size: int
    in_channels: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec((self.in_channels, self.size, self.size)),)


@dataclasses.dataclass(frozen=True)
class _ConvolutionalBlock(_ImageBlock):
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
class ConvNorm(_ConvolutionalBlock):
    """Convolution, batch normalisation, activation."""

    def build(self) -> nn.Module:
        layers = _conv_norm(self.in_channels, self.out_channels, self.kernel, self.stride)
        return nn.Sequential(*layers, _ACTIVATIONS[self.activation]())


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al., CVPR 2018) with a hard sigmoid and a quarter of the channels in the middle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = divisible(channels // 4)
        self.reduce = nn.Conv2d(channels, middle, 1)
        self.expand = nn.Conv2d(middle, channels, 1)
        for conv in (self.reduce, self.expand):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # the stub says that a bias may be missing

    def forward(self, x: Tensor) -> Tensor:
        """Return x (batch, channels, height, width) scaled channel by channel."""
        scale = self.expand(self.reduce(x.mean((2, 3), keepdim=True)).relu())
        return x * nn.functional.hardsigmoid(scale)


@dataclasses.dataclass(frozen=True)
class InvertedResidual(_ConvolutionalBlock):
    """1x1 expansion, depthwise convolution, optional squeeze-excitation, 1x1 projection (Sandler et al., CVPR 2018).

    Without expansion when `middle_channels` equals `in_channels`; with a shortcut when the shape is kept.
    """

    middle_channels: int
    squeeze_excite: bool

    def build(self) -> nn.Module:
        return _InvertedResidual(self)

    @property
    def growing(self) -> tuple[str, ...]:
        return ("kernel", "middle_channels")

    def silence(self, module: nn.Module) -> None:
        _silence_residual(self, module)


def _silence_residual(block: Block, module: nn.Module) -> None:
    """Start a residual branch at zero by the scale of its last norm (Goyal et al., 2017)."""
    assert isinstance(module, _InvertedResidual | _GroupedResidual)
    if not module.shortcut:
        Block.silence(block, module)
    nn.init.zeros_(module.project[1].weight)  # type: ignore[arg-type]  # of a norm


class _InvertedResidual(nn.Module):
    def __init__(self, block: InvertedResidual) -> None:
        super().__init__()
        middle, activation = block.middle_channels, _ACTIVATIONS[block.activation]
        self.shortcut = block.stride == 1 and block.in_channels == block.out_channels
        expand: list[nn.Module] = []
        if middle != block.in_channels:
            expand = [*_conv_norm(block.in_channels, middle, 1), activation()]
        self.expand = nn.Sequential(*expand)
        self.depthwise = nn.Sequential(
            *_conv_norm(middle, middle, block.kernel, block.stride, groups=middle), activation()
        )
        self.attend = SqueezeExcite(middle) if block.squeeze_excite else nn.Identity()
        self.project = nn.Sequential(*_conv_norm(middle, block.out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.attend(self.depthwise(self.expand(x))))
        return x + y if self.shortcut else y


@dataclasses.dataclass(frozen=True)
class GroupedResidual(_ConvolutionalBlock):
    """1x1 convolution, depthwise convolution, 1x1 convolution, as FBNet has them (Wu et al., CVPR 2019).

    The first is there even if it does not expand. The 1x1 convolutions may be grouped; then the channels are shuffled
    between the groups behind the first (Zhang et al., CVPR 2018). With a shortcut when the shape is kept.
    """

    middle_channels: int
    groups: int

    def build(self) -> nn.Module:
        return _GroupedResidual(self)

    @property
    def growing(self) -> tuple[str, ...]:
        return ("kernel", "middle_channels") if self.groups == 1 else ("kernel",)

    def silence(self, module: nn.Module) -> None:
        _silence_residual(self, module)


class _GroupedResidual(nn.Module):
    def __init__(self, block: GroupedResidual) -> None:
        super().__init__()
        middle, groups, activation = block.middle_channels, block.groups, _ACTIVATIONS[block.activation]
        self.shortcut = block.stride == 1 and block.in_channels == block.out_channels
        self.expand = nn.Sequential(*_conv_norm(block.in_channels, middle, 1, groups=groups), activation())
        self.shuffle = nn.ChannelShuffle(groups) if groups > 1 else nn.Identity()
        self.depthwise = nn.Sequential(
            *_conv_norm(middle, middle, block.kernel, block.stride, groups=middle), activation()
        )
        self.project = nn.Sequential(*_conv_norm(middle, block.out_channels, 1, groups=groups))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.shuffle(self.expand(x))))
        return x + y if self.shortcut else y


@dataclasses.dataclass(frozen=True)
class PooledClassifier(_ImageBlock):
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
