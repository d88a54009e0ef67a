"""Which space a verb works on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

import search_spaces
from nas.data import DataOptions, Dataset, load_data
from nas.data.loading import examples_of
from search_spaces import SearchSpace
from search_spaces.errors import InputError, invalid

_N_LOOKED_AT = 16  # training examples, for their size
_TYPICAL = 0.5


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SpaceConfig:
    """A search space by name, and its options."""

    name: str = Field(default="mobilenet_v3_32", description="search space; `nas spaces` lists them")
    options: Mapping[str, Any] = Field(default_factory=dict, description="of the space, such as width=1.2")

    def load(self) -> SearchSpace:
        """Return the space with these options."""
        return search_spaces.load(self.name, **self.options)


def load_for(config: SpaceConfig, options: DataOptions) -> tuple[SearchSpace, Dataset]:
    """Return the space with the options that a data set dictates, as far as it has them, and the data set.

    Images are stored as large as the space's largest network reads them, unless the options say how large.

    Raises:
        InputError: the data cannot be used, or the space's options ask for others than the data dictate.
    """
    plain = config.load()
    if plain.reads != (held := examples_of(options.source)):
        raise InputError(
            f"space {plain.name} reads {plain.reads}, but {options.source} holds {held}: choose another space, as "
            "`nas spaces` lists them"
        )
    data = load_data(_fitted(options, plain))
    fields = {field.name for field in dataclasses.fields(plain)}  # type: ignore[arg-type]  # every space is one
    given = {name: value for name, value in data.space_options().items() if name in fields}
    given |= plain.scene_options(_some(data), _TYPICAL)
    for name, value in given.items():
        asked = config.options.get(name, value)
        if (tuple(asked) if isinstance(asked, list) else asked) != value:  # YAML has no tuples
            raise InputError(f"space option {name} {config.options[name]!r}: {data.name} has {value}; leave it out")
    return search_spaces.load(config.name, **{**config.options, **given}), data


def at_scene(space: SearchSpace, data: Dataset, quantile: float) -> SearchSpace:
    """Return the space with the size of another of the data's training examples; 0 is the smallest, 1 the largest."""
    return dataclasses.replace(space, **space.scene_options(_some(data), quantile))  # type: ignore[type-var]


def _some(data: Dataset) -> Any:
    """Return training examples from all over, as a space's `prepare` takes them."""
    indices = torch.linspace(0, len(data.train) - 1, min(_N_LOOKED_AT, len(data.train))).long()
    batch, _ = data.batch(data.train, indices, torch.device("cpu"))
    return batch


def _fitted(data: DataOptions, space: SearchSpace) -> DataOptions:
    if data.image_size is not None or space.image_size is None:
        return data
    try:
        return dataclasses.replace(data, image_size=space.image_size)
    except ValidationError as error:
        raise invalid(f"space {space.name} reads images that data cannot have", error) from None
