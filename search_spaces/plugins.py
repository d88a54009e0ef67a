"""A folder is a registry: each file in it holds one public subclass, found by the file's name."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any, TypeVar

from pydantic import ValidationError

from search_spaces.errors import InputError, invalid, unknown

T = TypeVar("T")


def plugin_names(package: ModuleType) -> list[str]:
    """Return the names of a package's modules, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def plugin_class(package: ModuleType, kind: str, name: str, base: type[T]) -> type[T]:
    """Return the subclass of `base` that the module `name` of a package defines.

    Args:
        package: where to look.
        kind: what the plugins are called in an error, such as "space".
        name: of the module.
        base: the contract.

    Raises:
        InputError: no such module.
    """
    if name not in plugin_names(package):
        raise unknown(kind, name, plugin_names(package))
    module = importlib.import_module(f"{package.__name__}.{name}")
    members = [member for _, member in inspect.getmembers(module, inspect.isclass)]
    (plugin,) = [m for m in members if issubclass(m, base) and m.__module__ == module.__name__ and m.__name__[0] != "_"]
    return plugin


def load_plugin(package: ModuleType, kind: str, name: str, base: type[T], options: Mapping[str, Any]) -> T:
    """Return an instance of a plugin; see `plugin_class`.

    Args:
        package: where to look.
        kind: what the plugins are called in an error, such as "space".
        name: of the module.
        base: the contract.
        options: passed to the class, a pydantic dataclass.

    Raises:
        InputError: no such module, or options that the class does not have or cannot take.
    """
    return configured(plugin_class(package, kind, name, base), f"{kind} {name}", options)


def configured(configurable: type[T], owner: str, options: Mapping[str, Any]) -> T:
    """Return an instance of a pydantic dataclass with the given options.

    Raises:
        InputError: options that the class does not have or cannot take; `owner` is what it is called there.
    """
    known = inspect.signature(configurable).parameters
    for option in options:
        if option not in known:
            raise (
                unknown(f"option of {owner}", option, known)
                if known
                else InputError(f"{owner} has no options: leave {option} out")
            )
    try:
        return configurable(**options)
    except ValidationError as error:
        raise invalid(owner, error) from None
