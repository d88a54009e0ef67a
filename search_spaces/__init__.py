"""Search spaces: named choices, and the plan of the network that each combination of options means.

`load(name)` finds a space by its file in `search_spaces/spaces/`; adding a space is adding a file there.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

import search_spaces.spaces
from search_spaces.block import Block, Plan, Shape
from search_spaces.errors import InputError, invalid, unknown
from search_spaces.space import Architecture, Choice, SearchSpace

__all__ = [
    "Architecture",
    "Block",
    "Choice",
    "InputError",
    "Plan",
    "SearchSpace",
    "Shape",
    "from_json",
    "load",
    "names",
]


def names() -> list[str]:
    """Return the names of all spaces: the files of `search_spaces/spaces/`."""
    return sorted(module.name for module in pkgutil.iter_modules(search_spaces.spaces.__path__))


def load(name: str, **options: Any) -> SearchSpace:
    """Return the space `name` with the given options, such as `n_classes`.

    Raises:
        InputError: no such space, or an option that it does not have or cannot take.
    """
    if name not in names():
        raise unknown("space", name, names())
    module = importlib.import_module(f"search_spaces.spaces.{name}")
    space_type = next(
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, SearchSpace) and member.__module__ == module.__name__
    )
    try:
        return space_type(**options)
    except ValidationError as error:
        raise invalid(f"space {name}", error) from None


def from_json(document: Mapping[str, Any]) -> SearchSpace:
    """Return the space that `SearchSpace.to_json` described."""
    return load(**document)
