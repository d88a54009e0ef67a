"""Progress of long work on stderr: a bar where a person watches, a line now and then in a log."""

import sys
from typing import Any

from tqdm import tqdm

_SECONDS_BETWEEN_LOG_LINES = 15.0


def progress_bar(total: int | None, description: str, unit: str, *, done: int = 0, show: bool = True) -> "tqdm[Any]":
    """Return a bar to be used as a context; without a total its end is unknown."""
    interactive = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        disable=not show,
        mininterval=0.2 if interactive else _SECONDS_BETWEEN_LOG_LINES,
        ascii=not interactive,
    )
