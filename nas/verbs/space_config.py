"""Which space a verb works on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

import search_spaces
from nas.data import Dataset
from search_spaces import SearchSpace
from search_spaces.errors import InputError


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SpaceConfig:
    """A search space by name, and its options."""

    name: str = Field(default="mobilenet_v3_32", description="search space; `nas spaces` lists them")
    options: Mapping[str, Any] = Field(default_factory=dict, description="of the space, such as width=1.2")

    def load(self) -> SearchSpace:
        """Return the space with these options."""
        return search_spaces.load(self.name, **self.options)

    def load_for(self, data: Dataset) -> SearchSpace:
        """Return the space with the options that a data set dictates, as far as it has them.

        Raises:
            InputError: the options ask for others.
        """
        taken = {field.name for field in dataclasses.fields(self.load())}  # type: ignore[arg-type]  # every space is one
        given = {name: value for name, value in data.space_options().items() if name in taken}
        for name, value in given.items():
            if self.options.get(name, value) != value:
                raise InputError(f"space option {name} {self.options[name]!r}: {data.name} has {value}; leave it out")
        return search_spaces.load(self.name, **{**self.options, **given})
