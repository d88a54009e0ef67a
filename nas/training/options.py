"""What a user may say about training."""

from typing import Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from nas.data import Augmentation
from nas.training.sampling import SAMPLINGS
from search_spaces.errors import unknown


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrainingOptions:
    """How a network is trained."""

    epochs: int = Field(default=30, ge=1, description="passes over the training images")
    batch_size: int = Field(default=64, ge=2, description="images a step")
    learning_rate: float = Field(default=0.05, gt=0, description="peak of the cosine schedule (SGD, Nesterov momentum)")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of SGD")
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
        if device.split(":")[0] not in ("auto", "cpu", "cuda"):
            raise unknown("training device", device, ["auto", "cpu", "cuda"])
        return device


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SupernetOptions(TrainingOptions):
    """How shared weights are trained."""

    sampling: str = Field(default="sandwich", description="which architectures a step trains: sandwich or uniform")
    checkpoint_seconds: float = Field(default=60.0, gt=0, description="time between checkpoints")

    @field_validator("sampling")
    @classmethod
    def _known_sampling(cls, sampling: str) -> str:
        if sampling not in SAMPLINGS:
            raise unknown("sampling", sampling, SAMPLINGS)
        return sampling
