"""RegNets: quantised linear widths, and what networks of different widths share."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import search_spaces
from nas.supernet import Supernet
from search_spaces import Block
from search_spaces.blocks.regnet import GroupedBottleneck
from search_spaces.spaces.regnet import stages

NUMBERS = {
    "total_depths": st.integers(1, 12),
    "w_0": st.integers(1, 8).map(lambda n: 8 * n),
    "w_a": st.floats(2, 60),
    "w_m": st.floats(1.5, 3),
    "group_widths": st.sampled_from([4, 8, 16, 24, 48]),
}
SOME = {name: st.lists(numbers, min_size=1, max_size=2, unique=True).map(tuple) for name, numbers in NUMBERS.items()}


def test_widths_and_depths_are_as_published() -> None:
    """Of RegNetX-200MF and 400MF, in whose third stage 152 channels become 160, to be a multiple of 16."""
    assert list(stages(13, 24, 36.44, 2.49, 8)) == [(24, 8, 1), (56, 8, 1), (152, 8, 4), (368, 8, 7)]
    assert list(stages(22, 24, 24.48, 2.54, 16)) == [(32, 16, 1), (64, 16, 2), (160, 16, 7), (384, 16, 12)]


@given(
    depth=NUMBERS["total_depths"],
    w_0=NUMBERS["w_0"],
    w_a=NUMBERS["w_a"],
    w_m=NUMBERS["w_m"],
    group_width=NUMBERS["group_widths"],
)
def test_stages_have_all_blocks_and_whole_groups(
    depth: int, w_0: int, w_a: float, w_m: float, group_width: int
) -> None:
    found = list(stages(depth, w_0, w_a, w_m, group_width))
    assert sum(n_blocks for _, _, n_blocks in found) == depth
    assert all(width % group == 0 and group <= group_width for width, group, _ in found)
    widths = [width for width, _, _ in found]
    assert widths == sorted(widths)


def on_meta(block: Block) -> torch.nn.Module:
    with torch.device("meta"):
        return block.build()


@settings(max_examples=10)
@given(options=st.fixed_dictionaries(SOME), squeeze_excite=st.booleans())
def test_whatever_the_options_one_block_a_slot_holds_all_others(options: dict[str, Any], squeeze_excite: bool) -> None:
    """The widest stage and the widest before it need not belong to the same network."""
    space = search_spaces.load("regnet", resolution=32, squeeze_excite=squeeze_excite, **options)
    assert space.store_plan.keys() == set(space.index.slots)
    for architecture in space.decode(space.sample(3, np.random.default_rng(0))):
        for slot, block in space.blocks(architecture):
            large = on_meta(space.store_plan[slot])
            module = on_meta(block)
            for path, like in module.named_parameters():
                owner = module.get_submodule(path.rpartition(".")[0])
                assert block.narrow(large.get_parameter(path), path, like, owner).shape == like.shape


def test_a_store_of_blocks_that_no_network_has_serves_every_network() -> None:
    options = {"total_depths": (6,), "w_0": (8, 24), "w_a": (8.0,), "w_m": (1.5, 2.8), "group_widths": (8,)}
    space = search_spaces.load("regnet", resolution=16, stem="small", n_classes=5, stem_channels=8, **options)
    made_up = [slot for slot, block in space.store_plan.items() if block not in space.index.blocks]
    supernet = Supernet(space).eval()
    x = torch.randn(2, 3, 16, 16)
    assert made_up == ["stage3_block1_g8"]
    for architecture in space.decode(np.array([[0, w_0, 0, w_m, 0] for w_0 in (0, 1) for w_m in (0, 1)])):
        assert torch.equal(supernet(x, architecture), supernet.extract(architecture)(x))


@pytest.mark.parametrize("squeeze_excite", [False, True])
def test_a_narrower_block_holds_the_first_groups_of_a_wider_one(squeeze_excite: bool) -> None:
    wide, narrow = (GroupedBottleneck(8, 16, width, 2, 8, squeeze_excite) for width in (32, 16))
    large, small = wide.build().eval(), narrow.build().eval()
    with torch.no_grad():
        for path, like in small.named_parameters():
            owner = small.get_submodule(path.rpartition(".")[0])
            like.copy_(narrow.narrow(large.get_parameter(path), path, like, owner))
    x = torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(small.grouped(small.reduce(x)), large.grouped(large.reduce(x))[:, :16])


def test_group_widths_share_nothing() -> None:
    space = search_spaces.load("regnet", total_depths=(4,), group_widths=(8, 16))
    assert {slot.rpartition("_")[2] for slot in space.store_plan if slot.startswith("stage")} == {"g8", "g16"}
