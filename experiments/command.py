"""How the commands of experiments end: bad input and interrupts are told in one line, with the statuses of `nas`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from pydantic import ValidationError

from search_spaces.errors import InputError, invalid

BAD_INPUT, INTERRUPTED = 2, 130
"""Exit statuses."""


@contextmanager
def one_line(name: str) -> Iterator[None]:
    """End the command of this name with one line, where its work begins anew each time."""
    try:
        yield
    except InputError as error:
        _end(f"{name}: {error}", BAD_INPUT)
    except ValidationError as error:  # of a record of options that was made of what was given
        _end(f"{name}: {invalid('option', error)}", BAD_INPUT)
    except KeyboardInterrupt:
        _end(f"{name}: stopped", INTERRUPTED)


@contextmanager
def resumable(name: str) -> Iterator[None]:
    """End the command of this name with one line, where its work keeps what is finished and goes on from there."""
    with one_line(name):
        try:
            yield
        except KeyboardInterrupt:
            _end(f"{name}: stopped; the same command goes on", INTERRUPTED)


def _end(line: str, status: int) -> NoReturn:
    print(line, file=sys.stderr)
    sys.exit(status)


def at_least_one(**numbers: int) -> None:
    """Refuse numbers of things, by the names of their options, that leave nothing to do.

    Raises:
        InputError: a number is below 1.
    """
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"--{name.replace('_', '-')} {number}: expected at least 1")
