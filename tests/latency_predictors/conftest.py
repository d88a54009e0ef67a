"""The spaces of these tests: one to enumerate, one of real blocks that is small."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import search_spaces
from search_spaces import SearchSpace

TOY = Path(__file__).parents[1] / "nas" / "spaces"


@pytest.fixture(scope="module")
def toy() -> Iterator[Callable[..., Any]]:
    """Loads the space of `tests/nas/spaces/toy.py` with the given options."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_spaces.spaces, "__path__", [*search_spaces.spaces.__path__, str(TOY)])
        yield lambda **options: search_spaces.load("toy", **options)


@pytest.fixture(scope="session")
def small() -> SearchSpace:
    return search_spaces.load("mobilenet_v3_32", resolutions=(16,), width=0.25)
