"""FBNet's candidates, and which of them share weights."""

import pytest
import torch

import search_spaces
from search_spaces import Architecture
from search_spaces.blocks.mobile import ConvNorm, GroupedResidual

SPACE = search_spaces.load("fbnet")


def uniform(candidate: str, **others: str) -> Architecture:
    return Architecture({choice.name: candidate for choice in SPACE.choices} | others)


def test_a_skipped_layer_leaves_a_block_only_where_the_shape_changes() -> None:
    left = [slot for slot in SPACE.plan(uniform("skip")) if slot.startswith("layer")]
    assert left == [f"layer{number}_skip" for number in (2, 6, 10, 14, 18, 22)]


def test_expansions_are_slices_of_one_weight_and_other_candidates_stand_apart() -> None:
    slots = {
        candidate: [slot for slot in SPACE.plan(uniform(candidate)) if slot.startswith("layer4_")]
        for candidate in SPACE.choices[0].options
    }
    assert slots["k3_e1"] == slots["k3_e3"] == slots["k3_e6"] == ["layer4_k3"]
    assert slots["k5_e1"] == slots["k5_e6"] == ["layer4_k5"]
    assert (slots["k3_e1_g2"], slots["k5_e1_g2"]) == (["layer4_k3_grouped"], ["layer4_k5_grouped"])
    held = SPACE.store_plan["layer4_k3"]
    assert held == SPACE.plan(uniform("k3_e6"))["layer4_k3"]


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, [32, 32, 32, 16, 8, 8, 4, 4]),
        ({"stem": "imagenet", "resolution": 224}, [112, 112, 56, 28, 14, 14, 7, 7]),
    ],
    ids=["32x32", "ImageNet"],
)
def test_stages_halve_the_image_where_published(options: dict[str, int | str], sizes: list[int]) -> None:
    space = search_spaces.load("fbnet", **options)
    plan = space.plan(uniform("k3_e1"))
    last_of_stage = ["stem", *(f"layer{number}_k3" for number in (1, 5, 9, 13, 17, 21, 22))]
    assert [plan[slot].output.shape[1] for slot in last_of_stage] == sizes


def test_groups_exchange_channels_between_the_convolutions() -> None:
    """Every output channel depends on input channels of both groups, which without the shuffle it does not."""
    block = GroupedResidual(6, 8, 12, 3, 1, "identity", 8, 2)
    x = torch.randn(1, 8, 6, 6, requires_grad=True)
    y = block.build().eval()(x)
    for channel in (0, 11):
        (gradient,) = torch.autograd.grad(y[0, channel].sum(), x, retain_graph=True)
        assert gradient[0, :4].any()
        assert gradient[0, 4:].any()


def test_a_layer_that_keeps_the_shape_has_a_shortcut() -> None:
    plan = SPACE.plan(uniform("k5_e3"))
    for slot, shortcut in (("layer4_k5", True), ("layer6_k5", False), ("layer2_k5", False)):
        module = plan[slot].build().eval()
        assert module.shortcut is shortcut
    assert isinstance(SPACE.plan(uniform("skip"))["layer6_skip"], ConvNorm)
