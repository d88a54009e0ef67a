"""The small spaces of these tests: one to enumerate, one to train."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import search_spaces


@pytest.fixture(scope="module")
def toy() -> Iterator[Callable[..., Any]]:
    """Loads the space of `tests/nas/spaces/toy.py` with the given options."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(Path(__file__).parent / "spaces")
        patch.setattr(search_spaces.spaces, "__path__", [*search_spaces.spaces.__path__, folder])
        yield lambda **options: search_spaces.load("toy", **options)
