"""`nas spaces`: what there is to search."""

from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

import search_spaces


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SpacesConfig:
    """Nothing to choose."""


def spaces(options: SpacesConfig) -> dict[str, Any]:
    """List the search spaces, with the number of their networks."""
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
