"""Bad input is told to a person in one line: the value, what was expected, how to mend it."""

import difflib
from collections.abc import Iterable

from pydantic import ValidationError


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line and complete."""


def unknown(kind: str, value: object, known: Iterable[object]) -> InputError:
    """Return the error for a name that does not exist, with the closest names that do."""
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(value), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names) or 'none'}"
    return InputError(f"unknown {kind} {str(value)!r}: {hint}")


def invalid(owner: str, error: ValidationError) -> InputError:
    """Return the first complaint of a validation as one line: which value, of what, and what was expected."""
    first = error.errors()[0]
    if isinstance(complaint := first.get("ctx", {}).get("error"), InputError):
        return complaint
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("missing", "missing_argument"):
        return InputError(f"{owner}: {path} is missing, and has no default: give it")
    message = first["msg"].removeprefix("Value error, ").lower()
    return InputError(f"{owner}: {path} {first['input']!r}: {message}")
