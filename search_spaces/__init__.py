"""Search spaces: named choices, and the plan of the network that each combination of options means.

`load(name)` finds a space by its file in `search_spaces/spaces/`; adding a space is adding a file there.
"""

from collections.abc import Mapping
from typing import Any

import search_spaces.spaces
from search_spaces.block import Block, Plan, Shape, TensorSpec
from search_spaces.errors import InputError
from search_spaces.plugins import load_plugin, plugin_names
from search_spaces.space import Architecture, Choice, SearchSpace

__all__ = [
    "Architecture",
    "Block",
    "Choice",
    "InputError",
    "Plan",
    "SearchSpace",
    "Shape",
    "TensorSpec",
    "from_json",
    "load",
    "names",
]


def names() -> list[str]:
    """Return the names of all spaces: the files of `search_spaces/spaces/`."""
    return plugin_names(search_spaces.spaces)


def load(name: str, **options: Any) -> SearchSpace:
    """Return the space `name` with the given options, such as `n_classes`.

    Raises:
        InputError: no such space, or an option that it does not have or cannot take.
    """
    return load_plugin(search_spaces.spaces, "space", name, SearchSpace, options)  # type: ignore[type-abstract]


def from_json(document: Mapping[str, Any]) -> SearchSpace:
    """Return the space that `SearchSpace.to_json` described."""
    return load(**document)
