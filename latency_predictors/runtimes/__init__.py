"""One file a runtime; `load` finds them by file name."""

import importlib
import sys

from latency_predictors.runtime import Runtime
from search_spaces.errors import InputError
from search_spaces.plugins import load_plugin, plugin_class, plugin_names


def names() -> list[str]:
    """Return the names of all runtimes, installed or not: the files of this folder."""
    return plugin_names(sys.modules[__name__])


def load(name: str) -> Runtime:
    """Return the runtime `name`.

    Raises:
        InputError: no such runtime, or the library that it stands for is not installed.
    """
    runtime = load_plugin(sys.modules[__name__], "runtime", name, Runtime, {})  # type: ignore[type-abstract]
    try:
        for library in runtime.libraries:
            importlib.import_module(library)
    except ImportError as error:
        raise InputError(
            f"runtime {name} is not installed ({error}): python -m pip install '.[{name}]' in a clone of the project"
        ) from None
    return runtime


def described(name: str) -> type[Runtime]:
    """Return what says what the runtime `name` can do, installed or not.

    Raises:
        InputError: no such runtime.
    """
    return plugin_class(sys.modules[__name__], "runtime", name, Runtime)  # type: ignore[type-abstract]
