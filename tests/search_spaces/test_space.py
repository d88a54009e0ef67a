"""What a space refuses; what it does is in test_contract.py."""

import pytest

import search_spaces
from search_spaces import Choice, InputError


def test_an_option_twice_is_refused() -> None:
    with pytest.raises(InputError, match="choice 'kernel' has an option twice"):
        Choice("kernel", (3, 5, 3))
    with pytest.raises(InputError, match="choice 'resolution' has an option twice"):
        search_spaces.load("ofa_mobilenet_v3", resolutions=(32, 32)).largest()


@pytest.mark.parametrize("name", ["ofa_mobilenet_v3", "mobilenet_v3_32"])
@pytest.mark.parametrize("resolutions", [(0,), (32, -8), ()])
def test_resolutions_are_sizes(name: str, resolutions: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=f"space {name}: resolutions"):
        search_spaces.load(name, resolutions=resolutions)
