"""Places of a chain: every plan of a space follows their order, one slot a place at most."""

import numpy as np
import pytest

import search_spaces
from search_spaces.places import in_order, places


@pytest.mark.parametrize("name", ["mobilenet_v3_32", "proxyless_mobilenet", "fbnet", "autoformer_32"])
def test_plans_go_from_place_to_place(name: str) -> None:
    space = search_spaces.load(name)
    found = places(space)
    place_of = {slot: number for number, place in enumerate(found) for slot in place.slots}
    for row in space.sample(20, np.random.default_rng(0)):
        visited = [place_of[slot] for slot in space.plan(space.decode(row[None])[0])]
        assert visited == sorted(set(visited))
        empty = set(range(len(found))) - set(visited)
        assert all(found[number].may_be_empty for number in empty)


def test_candidates_of_a_layer_are_alternatives() -> None:
    by_layer = [place.slots for place in places(search_spaces.load("fbnet"))]
    assert {"layer3_k3", "layer3_k5", "layer3_k3_grouped", "layer3_k5_grouped"} in [set(slots) for slots in by_layer]


@pytest.mark.parametrize("name", ["darts", "nasbench201", "spvnas_small"])
def test_all_slots_have_a_place_in_the_order(name: str) -> None:
    space = search_spaces.load(name)
    assert sorted(in_order(space)) == sorted(space.index.slots)
