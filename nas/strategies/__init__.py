"""One file a search strategy; `load` finds them by file name."""

import sys
from typing import Any

from nas.strategy import Strategy
from search_spaces.plugins import load_plugin, plugin_names


def names() -> list[str]:
    """Return the names of all strategies: the files of this folder."""
    return plugin_names(sys.modules[__name__])


def load(name: str, **options: Any) -> Strategy:
    """Return the strategy `name` with the given options.

    Raises:
        InputError: no such strategy, or an option that it does not have or cannot take.
    """
    return load_plugin(sys.modules[__name__], "strategy", name, Strategy, options)  # type: ignore[type-abstract]
