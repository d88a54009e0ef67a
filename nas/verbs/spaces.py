"""`nas spaces`: what there is to search."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

import search_spaces
from nas.config import meaning
from search_spaces import SearchSpace
from search_spaces.space import Option

_A_LINE = 4
_SHOWN = 10


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SpacesConfig:
    """Which spaces are told of."""

    space: str | None = Field(
        default=None, description="list the options and choices of this one; unset: list all spaces"
    )


def spaces(options: SpacesConfig) -> dict[str, Any]:
    """List the search spaces, or what one of them can be told with --space.options, and what there is to choose."""
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
        "choices": [
            {"choices": ", ".join(names), "of": _shortened(options)} for names, options in _few_at_a_time(space)
        ],
    }


def _few_at_a_time(space: SearchSpace) -> Iterator[tuple[list[str], tuple[Option, ...]]]:
    """Yield names of choices that have the same options, and these, a few at a time."""
    alike: dict[tuple[Option, ...], list[str]] = {}
    for choice in space.choices:
        alike.setdefault(choice.options, []).append(choice.name)
    for options, names in alike.items():
        for first in range(0, len(names), _A_LINE):
            yield names[first : first + _A_LINE], options


def _shortened(options: Sequence[Option]) -> str:
    shown = [str(option) for option in options]
    return ", ".join(shown if len(shown) <= _SHOWN else [*shown[: _SHOWN - 2], "...", shown[-1]])
