"""How the commands of experiments end: bad input and interrupts are told in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from search_spaces.errors import InputError


@contextmanager
def resumable(name: str) -> Iterator[None]:
    """End the command of this name with one line, where its work keeps what is finished and goes on from there."""
    try:
        yield
    except InputError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: stopped; the same command goes on")
