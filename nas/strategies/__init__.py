"""One file a search strategy; `load` finds them by file name."""

import sys
from collections.abc import Sequence
from typing import Any

from nas.objectives import Objective
from nas.strategy import Strategy
from search_spaces.errors import InputError
from search_spaces.plugins import load_plugin, plugin_class, plugin_names


def names() -> list[str]:
    """Return the names of all strategies: the files of this folder."""
    return plugin_names(sys.modules[__name__])


def load(name: str, **options: Any) -> Strategy:
    """Return the strategy `name` with the given options.

    Raises:
        InputError: no such strategy, or an option that it does not have or cannot take.
    """
    return load_plugin(sys.modules[__name__], "strategy", name, Strategy, options)  # type: ignore[type-abstract]


def require_serves(strategy: Strategy, objectives: Sequence[Objective]) -> None:
    """Raise unless a strategy can search for these objectives.

    Raises:
        InputError: there is none, or there are several and it serves but one; names the strategies that serve several.
    """
    if not objectives:
        raise InputError("a search needs an objective: give at least one")
    if len(objectives) > 1 and not strategy.multi_objective:
        package = sys.modules[__name__]
        able = [
            name
            for name in names()
            if plugin_class(package, "strategy", name, Strategy).multi_objective  # type: ignore[type-abstract]
        ]
        metrics = " and ".join(objective.metric for objective in objectives)
        raise InputError(
            f"strategy {type(strategy).__module__.rpartition('.')[2]} serves one objective, asked for are {metrics}: "
            f"use {', '.join(able)}, or make all but one of them limits"
        )
