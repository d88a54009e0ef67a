"""Spaces of published work have its figures, to the last digit."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import search_spaces
from search_spaces import Architecture, SearchSpace


def counted(space: SearchSpace, architecture: Mapping[str, Any]) -> tuple[int, int]:
    """Return parameters and multiply-adds."""
    with torch.device("meta"):
        network = space.build(architecture).eval()
        x = torch.empty(space.inputs(architecture)[0].sizes(1))
    with FlopCounterMode(display=False) as counter:
        network(x)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() // 2


def uniform(space: SearchSpace, **options: int) -> Architecture:
    """Return the architecture with the same option for every choice whose name starts alike."""
    return Architecture({choice.name: options[choice.name.split("_")[0]] for choice in space.choices})


@pytest.mark.parametrize(
    ("width", "options", "figures"),
    [
        (1.0, {"kernel": 7, "expand": 6, "depth": 4}, (7_664_760, 566_170_656)),
        (1.0, {"kernel": 3, "expand": 3, "depth": 2}, (3_410_792, 121_278_672)),
        (1.0, {"kernel": 5, "expand": 4, "depth": 3}, (4_551_792, 250_746_944)),
        (1.2, {"kernel": 7, "expand": 6, "depth": 4}, (10_701_632, 843_101_040)),
        (1.2, {"kernel": 3, "expand": 3, "depth": 2}, (4_602_456, 193_078_200)),
        (1.2, {"kernel": 5, "expand": 4, "depth": 3}, (6_245_312, 385_659_168)),
    ],
)
def test_once_for_all_mobilenet_v3(width: float, options: dict[str, int], figures: tuple[int, int]) -> None:
    space = search_spaces.load("ofa_mobilenet_v3", width=width, resolutions=(224,), n_classes=1000)
    architecture = uniform(space, resolution=224, **options)
    assert counted(space, architecture) == figures
    if options["depth"] == 4:
        assert space.largest() == architecture
    if options["depth"] == 2:
        assert space.smallest() == architecture


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("ofa_mobilenet_v3", {"resolutions": (224,)}, 7371**5),
        ("ofa_mobilenet_v3", {}, 7371**5 * 25),
        ("proxyless_mobilenet", {}, 6**6 * 7**15),
        ("mobilenet_v3_32", {"resolutions": (32,)}, 258**4),
        ("mobilenet_v3_32", {}, 258**4 * 2),
    ],
)
def test_sizes(name: str, options: dict[str, Any], size: int) -> None:
    assert search_spaces.load(name, **options).size == size
