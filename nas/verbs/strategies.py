"""`nas strategies`: how to search."""

import dataclasses
import sys
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

import nas.strategies
from nas.config import meaning
from nas.strategy import Strategy


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class StrategiesConfig:
    """Which strategies are told of."""

    strategy: str | None = Field(default=None, description="list the options of this one; unset: list all strategies")


def strategies(options: StrategiesConfig) -> dict[str, Any]:
    """List the search strategies, or what one of them can be told with --search.strategy.options."""
    if options.strategy is not None:
        return _describe(options.strategy, nas.strategies.load(options.strategy))
    loaded = {name: nas.strategies.load(name) for name in nas.strategies.names()}
    return {
        "strategies": [
            {
                "name": name,
                "objectives": _objectives(strategy),
                "searches": _searched(strategy),
                "description": _origin(strategy),
            }
            for name, strategy in loaded.items()
        ]
    }


def _describe(name: str, strategy: Strategy) -> dict[str, Any]:
    return {
        "strategy": name,
        "description": _origin(strategy),
        "how": (type(strategy).__doc__ or "").splitlines()[0],
        "objectives": _objectives(strategy),
        "searches": _searched(strategy),
        "options": [
            {"option": field.name, "default": str(getattr(strategy, field.name)), "meaning": meaning(field)}
            for field in dataclasses.fields(strategy)  # type: ignore[arg-type]  # every strategy is a dataclass
        ],
    }


def _objectives(strategy: Strategy) -> str:
    return "several" if strategy.multi_objective else "one"


def _searched(strategy: Strategy) -> str:
    if strategy.searches_weights:
        return "a supernet"
    return "networks" if strategy.looks_at_networks else "any space"


def _origin(strategy: Strategy) -> str:
    """Return the first line of a strategy's file: its name and where it was published."""
    return (sys.modules[type(strategy).__module__].__doc__ or "").splitlines()[0]
