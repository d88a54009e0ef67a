"""What a user may say about training."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from nas.data import Augmentation
from nas.training.sampling import load_sampling
from search_spaces.errors import InputError, unknown


def torch_device(name: str) -> torch.device:
    """Return the device that a name means; auto is a GPU where there is one.

    Raises:
        InputError: no such device, or none here.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    if re.fullmatch(r"cpu|cuda(:\d+)?", name) is None:
        raise unknown("training device", name, ["auto", "cpu", "cuda"])
    if name.startswith("cuda") and not available:
        raise InputError(f"training device {name!r}: torch finds no GPU here; use cpu or auto")
    return torch.device(name)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrainingOptions:
    """How a network is trained."""

    epochs: int = Field(default=30, ge=1, description="passes over the training images")
    batch_size: int = Field(default=64, ge=2, description="images a step")
    optimizer: Literal["sgd", "adamw"] = Field(
        default="sgd", description="sgd (Nesterov) suits convolutions; adamw transformers, with learning_rate 0.001"
    )
    learning_rate: float = Field(default=0.05, gt=0, description="peak of the cosine schedule")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of the gradients; for adamw its first beta")
    weight_decay: float = Field(default=1e-4, ge=0, description="on weights; never on norms and biases")
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the steps that ramp the learning rate up")
    label_smoothing: float = Field(default=0.1, ge=0, lt=1, description="for networks trained on labels")
    augmentation: Augmentation = Augmentation()
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 autocast on a GPU, float32 on a CPU, where autocast is slower"
    )
    device: str = Field(default="auto", description="auto, cpu or cuda: where torch trains")
    seed: int = Field(default=0, ge=0, description="of weights, order, augmentation and architectures")

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        torch_device(device)
        return device


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SupernetOptions(TrainingOptions):
    """How shared weights are trained."""

    sampling: str = Field(
        default="sandwich", description="which architectures a step trains: sandwich, uniform or greedy"
    )
    sampling_options: Mapping[str, Any] = Field(
        default_factory=dict, description="of the sampling, such as paths=10 of greedy"
    )
    checkpoint_seconds: float = Field(default=60.0, gt=0, description="time between checkpoints")
    ranks: int = Field(
        default=1,
        ge=1,
        description="processes of this machine, or GPUs, that share each batch; changes no more than last digits",
    )

    def __post_init__(self) -> None:
        load_sampling(self.sampling, self.sampling_options)
        if self.ranks > 1 and ":" in self.device:
            raise InputError(f"training device {self.device!r} is one, ranks are {self.ranks}: say cuda, or one rank")
