"""What a user may say about the data, and how training varies them."""

from pathlib import Path

from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from nas.data.source import NAMED


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class DataOptions:
    """Where images or clouds are, how they are split, and the form they are brought to."""

    source: str = Field(
        min_length=1,
        description="digits, a Parquet file, a folder of Parquet files, or a folder with one subfolder per class; "
        "synthetic_scenes, synthetic_objects, an .npz file or a folder of them, or SemanticKITTI's folder",
    )
    test_source: str | None = Field(
        default=None,
        description="separate test data; without it the source's own test part, or else a part cut from it",
    )
    validation_fraction: float = Field(
        default=0.15,
        gt=0,
        lt=0.5,
        description="share of training images held out, unless the source has a validation part",
    )
    split_seed: int = Field(default=0, ge=0, lt=2**32, description="seed of the cut between training and validation")
    image_size: int | None = Field(
        default=None,
        ge=8,
        le=1024,
        description="side in pixels of the stored, square images; unset: what the largest network reads, or 32",
    )
    channels: int = Field(default=3, description="1 for grey images, 3 for colour")
    skip_corrupt: bool = Field(default=False, description="leave out what cannot be read instead of stopping")
    memory_gb: float = Field(
        default=4.0,
        ge=0,
        description="so much stays in memory of decoded images or clouds, and as much of what networks are scored on",
    )
    n_scenes: int = Field(default=60, ge=3, le=100_000, description="how many synthetic scenes or objects are made")
    tile_metres: float | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="points: side of the tiles that frames are cut into; unset: whole frames, or 12 m of a single one",
    )
    # as SPVNAS trains, where these are voxels
    max_points: int = Field(default=80_000, ge=1, description="points: so many of a training cloud are drawn at random")

    @field_validator("source", "test_source")
    @classmethod
    def _absolute(cls, source: str | None) -> str | None:
        """What is read again from another directory is still found."""
        if source is None or source in NAMED or not (path := Path(source).expanduser()).exists():
            return source
        return str(path.absolute())

    @field_validator("channels")
    @classmethod
    def _grey_or_colour(cls, channels: int) -> int:
        if channels not in (1, 3):
            raise ValueError("expected 1 (grey) or 3 (colour)")
        return channels


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Augmentation:
    """How training images or point clouds are varied."""

    # 4 of 32 pixels, as is usual for CIFAR
    crop: float = Field(default=0.125, ge=0, le=0.5, description="largest random shift, as a share of the image's side")
    flip: bool | None = Field(
        default=None,
        description="flip half of the images or clouds; unset: yes, but for digits; say no where left and right matter",
    )
    rotation: float = Field(
        default=180.0, ge=0, le=180, description="points: largest turn about the vertical, in degrees"
    )
    # as SPVNAS trains
    scale: float = Field(default=0.05, ge=0, lt=1, description="points: largest change of size, as a share")
