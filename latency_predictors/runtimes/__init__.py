"""One file a runtime; `load` finds them by file name."""

import sys

from latency_predictors.runtime import Runtime
from search_spaces.errors import InputError
from search_spaces.plugins import load_plugin, plugin_names


def names() -> list[str]:
    """Return the names of all runtimes, installed or not: the files of this folder."""
    return plugin_names(sys.modules[__name__])


def load(name: str) -> Runtime:
    """Return the runtime `name`.

    Raises:
        InputError: no such runtime, or the library that it stands for is not installed.
    """
    try:
        return load_plugin(sys.modules[__name__], "runtime", name, Runtime, {})  # type: ignore[type-abstract]
    except ImportError as error:
        raise InputError(
            f"runtime {name} is not installed ({error}): python -m pip install 'hardware-aware-nas[{name}]'"
        ) from None


def in_kits(name: str) -> bool:
    """Tell whether kits can bring a runtime along; not, if it is not even installed here."""
    try:
        return load(name).in_kits
    except InputError:
        return False
