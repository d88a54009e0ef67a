"""`nas spaces`: what there is to search."""

import dataclasses
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

import search_spaces
from nas.config import meaning
from search_spaces import SearchSpace


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SpacesConfig:
    """Which spaces are told of."""

    space: str | None = Field(default=None, description="list the options of this one; unset: list all spaces")


def spaces(options: SpacesConfig) -> dict[str, Any]:
    """List the search spaces, or what one of them can be told with --space.options."""
    if options.space is not None:
        return _describe(search_spaces.load(options.space))
    loaded = [search_spaces.load(name) for name in search_spaces.names()]
    return {
        "spaces": [
            {
                "name": space.name,
                "networks": f"{space.size:.3g}",
                "choices": len(space.choices),
                "blocks": len(space.index.blocks),
                "description": (type(space).__doc__ or "").splitlines()[0],
            }
            for space in loaded
        ]
    }


def _describe(space: SearchSpace) -> dict[str, Any]:
    return {
        "space": space.name,
        "description": (type(space).__doc__ or "").splitlines()[0],
        "options": [
            {"option": field.name, "default": str(getattr(space, field.name)), "meaning": meaning(field)}
            for field in dataclasses.fields(space)  # type: ignore[arg-type]  # every space is a dataclass
        ],
    }
