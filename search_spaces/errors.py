"""Bad input is told to a person in one line: the value, what was expected, how to mend it."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

T = TypeVar("T")


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line and complete."""


def unknown(kind: str, value: object, known: Iterable[object]) -> InputError:
    """Return the error for a name that does not exist, with the closest names that do."""
    names = [str(name) for name in known]
    by_lower = {name.lower(): name for name in names}
    close = [by_lower[name] for name in difflib.get_close_matches(str(value).lower(), by_lower, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names) or 'none'}"
    return InputError(f"unknown {kind} {str(value)!r}: {hint}")


def invalid(owner: str, error: ValidationError, name: Callable[[Sequence[str]], str] = ".".join) -> InputError:
    """Return the first complaint of a validation as one line: which value, of what, and what was expected.

    Args:
        owner: what the values are of.
        error: what pydantic says.
        name: returns what a value is called whose names, from the outermost inwards, are these.
    """
    first = error.errors()[0]
    if isinstance(complaint := first.get("ctx", {}).get("error"), InputError):
        return complaint
    path = name([str(part) for part in first["loc"]])
    if first["type"] in ("missing", "missing_argument"):
        return InputError(f"{owner}: {path} is missing, and has no default: give it")
    message = first["msg"].removeprefix("Value error, ").lower()
    return InputError(f"{owner}: {path} {first['input']!r}: {message}")


def refuses_plainly(kind: type[T]) -> type[T]:
    """Let a pydantic dataclass that is made in Python code refuse values by an `InputError`, too."""
    make, signature = kind.__init__, inspect.signature(kind)

    @functools.wraps(make)
    def made(self: T, *values: Any, **named: Any) -> None:
        try:
            make(self, **signature.bind_partial(*values, **named).arguments)  # so that all are told by their names
        except ValidationError as error:
            raise invalid(kind.__name__, error) from None

    kind.__init__ = made  # type: ignore[assignment,method-assign]
    return kind
