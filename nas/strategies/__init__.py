"""One file a search strategy; `load` finds them by file name."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from nas.objectives import Objective
from nas.strategy import Strategy
from search_spaces import SearchSpace
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


def require_searches(strategy: Strategy, space: SearchSpace) -> None:
    """Raise unless a strategy can search a space.

    Raises:
        InputError: the space lacks something; names the strategies that can search it.
    """
    if lacking := strategy.lacks(space):
        raise InputError(
            f"strategy {_name(strategy)} cannot search {space.name}, which lacks {lacking}: "
            f"use {', '.join(_those(lambda kind: kind.lacks(space) is None))}"
        )


def require_serves(strategy: Strategy, objectives: Sequence[Objective]) -> None:
    """Raise unless a strategy can search for these objectives with what it was given.

    Raises:
        InputError: there is none, one is there twice, or there are several and it serves but one, or it searches shared
            weights and has none; names the strategies that can.
    """
    if not objectives:
        raise InputError("a search needs an objective: give at least one")
    asked = [{**objective.to_json(), "maximise": None} for objective in objectives]  # nor is it raised and lowered
    for i, objective in enumerate(objectives):
        if asked.index(asked[i]) < i:
            raise InputError(f"{objective.metric} is an objective twice: leave one out")
    name = _name(strategy)
    if len(objectives) > 1 and not strategy.multi_objective:
        metrics = " and ".join(objective.metric for objective in objectives)
        raise InputError(
            f"strategy {name} serves one objective, asked for are {metrics}: "
            f"use {', '.join(_those(lambda kind: kind.multi_objective))}, or make all but one of them limits"
        )
    if strategy.searches_weights and strategy.weights is None:
        raise InputError(
            f"strategy {name} descends a supernet's weights and was given none: call its `use` first, or use "
            f"{', '.join(_those(lambda kind: not kind.searches_weights))}"
        )


def require_asynchronous(strategy: Strategy) -> None:
    """Raise unless a strategy may be asked again before it is told of what it asked for.

    Raises:
        InputError: it may not; names the strategies that may.
    """
    if not strategy.asynchronous:
        raise InputError(
            f"strategy {_name(strategy)} must be told before it is asked again: leave `ahead` out, or use "
            f"{', '.join(_those(lambda kind: kind.asynchronous))}"
        )


def _name(strategy: Strategy) -> str:
    return type(strategy).__module__.rpartition(".")[2]


def _those(able: Callable[[type[Strategy]], bool]) -> list[str]:
    """Return the names of the strategies of which something holds."""
    package = sys.modules[__name__]
    return [
        name
        for name in names()
        if able(plugin_class(package, "strategy", name, Strategy))  # type: ignore[type-abstract]
    ]
