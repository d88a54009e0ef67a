"""Cells of DARTS: published genotypes, and how cells are wired."""

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import search_spaces
from search_spaces import Architecture, InputError
from search_spaces.spaces.darts import DARTS

GENOTYPE = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=range(2, 6), "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], "
    "reduce_concat=[2, 3, 4, 5])"
)
SEEDS = st.integers(0, 2**32 - 1)


@cache
def space(**options: Any) -> DARTS:
    loaded = search_spaces.load("darts", **{"channels": 4, "layers": 3, "resolution": 16, **options})
    assert isinstance(loaded, DARTS)
    return loaded


def drawn(seed: int) -> Architecture:
    return space().decode(space().sample(1, np.random.default_rng(seed)))[0]


@given(SEEDS)
def test_a_genotype_comes_back_as_it_went(seed: int) -> None:
    text = space().to_genotype(drawn(seed))
    assert space().from_genotype(text) == drawn(seed)
    assert space().to_genotype(space().from_genotype(text)) == text


def test_a_published_genotype_is_read_whatever_the_order_of_a_nodes_inputs() -> None:
    architecture = space().from_genotype(GENOTYPE)
    assert (architecture["normal_2_first"], architecture["normal_2_second"]) == ("sep_conv_3x3", "sep_conv_3x3")
    assert architecture["normal_5_inputs"] == architecture["reduce_3_inputs"] == "0,2"
    assert (architecture["reduce_3_first"], architecture["reduce_3_second"]) == ("max_pool_3x3", "skip_connect")
    swapped = GENOTYPE.replace("('skip_connect', 2), ('max_pool_3x3', 0)", "('max_pool_3x3', 0), ('skip_connect', 2)")
    assert swapped != GENOTYPE
    assert space().from_genotype(swapped) == architecture
    assert space().from_genotype("\n  " + GENOTYPE.replace(", ", ",\n") + " ") == architecture


@pytest.mark.parametrize(
    ("old", "new", "behind", "message"),
    [
        ("Genotype", "os.system", 0, r"has os.system\(.* at HERE, where Genotype\(...\) is expected"),
        ("normal=", "", 0, r"has \[\('sep_conv_3x3', 1\),.*\.\.\. at HERE, where a field with its name"),
        ("normal=", "norm=", 5, "has .* at HERE, where one of the fields normal, .* not norm, is expected"),
        ("reduce=", "normal=", 7, "has .* at HERE, where another field than normal, which it has already, is expected"),
        ("('avg_pool_3x3', 0)", "", -148, "at HERE, where a list of 8 pairs of operation and input is expected"),
        ("'avg_pool_3x3', 0", "'avg_pool_3x3'", 0, "has 'avg_pool_3x3' at HERE, where a list of 2 items"),
        ("'avg_pool_3x3'", "'none'", 0, "has 'none' at HERE, where one of skip_connect, "),
        ("'avg_pool_3x3'", "[0][0]", 0, r"has \[0\]\[0\] at HERE, where one of skip_connect, "),
        ("0)], reduce_c", "5)], reduce_c", 0, "has 5 at HERE, where an input of node 5, 0 to 4, is expected"),
        ("0)], reduce_c", "-1)], reduce_c", 0, "has -1 at HERE, where an input of node 5, 0 to 4, is expected"),
        ("0)], reduce_c", "2)], reduce_c", -17, "HERE, where an input of node 5 other than its first, 2, is expected"),
        ("range(2, 6)", "range(2, 7)", 0, r"has range\(2, 7\) at HERE, where a list of 4 nodes"),
        ("5])", "4])", 0, "has 4 at HERE, where node 5, as all are concatenated in order, is expected"),
    ],
)
def test_a_malformed_genotype_is_told_where(old: str, new: str, behind: int, message: str) -> None:
    assert old in GENOTYPE
    head, _, tail = GENOTYPE.rpartition(old)
    place = f"line 1, character {len(head) + behind + 1}"
    with pytest.raises(InputError, match=message.replace("HERE", place)):
        space().from_genotype(head + new + tail)


def test_a_genotype_that_is_cut_short_is_told() -> None:
    with pytest.raises(
        InputError, match=r"genotype .Genotype\(normal=.*\.\.\.. is malformed at line 1, character 9: .*never closed"
    ):
        space().from_genotype(GENOTYPE[:-1])
    with pytest.raises(InputError, match="genotype lacks the field normal_concat"):
        space().from_genotype(GENOTYPE.replace(", normal_concat=range(2, 6)", ""))


@pytest.mark.parametrize("text", ["", "\0"])
def test_what_has_no_place_is_told_without_one(text: str) -> None:
    with pytest.raises(InputError, match=r"^genotype '.*' is malformed: .*; expected Genotype\(normal="):
        space().from_genotype(text)


@given(st.integers(0, len(GENOTYPE)), st.text(max_size=3), st.integers(0, 3))
def test_any_text_is_a_genotype_or_told_as_none(start: int, new: str, n_cut: int) -> None:
    complaint = ""
    try:
        space().from_genotype(GENOTYPE[:start] + new + GENOTYPE[start + n_cut :])
    except InputError as error:
        complaint = str(error)
    assert complaint.startswith("genotype ") or not complaint
    assert "\n" not in complaint


@settings(max_examples=10)
@given(SEEDS, st.sampled_from(["cifar", "imagenet"]))
def test_a_cell_adds_up_two_operations_a_node_and_concatenates(seed: int, stem: str) -> None:
    """Compares a network with the formula of the paper, cell by cell."""
    network = space(stem=stem, resolution=32).build(drawn(seed)).eval()
    modules = dict(network.named_children())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    outputs = [x]
    for slot in (slot for slot in modules if slot.startswith("stem")):
        outputs.append(modules[slot](outputs[-1]))
    before, last = outputs[-2:] if stem == "imagenet" else (outputs[-1], outputs[-1])
    for number in (1, 2, 3):
        nodes = [modules[f"cell{number}_preprocess_0"](before), modules[f"cell{number}_preprocess_1"](last)]
        for node in (2, 3, 4, 5):
            arriving = [
                modules[slot](nodes[int(match[1])])
                for slot in modules
                if (match := re.match(rf"cell{number}_edge_(\d)_{node}_", slot))
            ]
            first, second = arriving
            nodes.append(first + second)
        before, last = last, torch.cat(nodes[2:], dim=1)
    sizes: list[Tensor] = [before, last]
    assert [tensor.shape[1:] for tensor in sizes] == [(32, *_halved(stem, 1)), (64, *_halved(stem, 2))]
    torch.testing.assert_close(network(x), modules["classifier"](last))


def _halved(stem: str, times: int) -> tuple[int, int]:
    side = (32 if stem == "cifar" else 4) // 2**times
    return side, side


@pytest.mark.parametrize("layers", [3, 8, 20])
def test_two_cells_reduce_a_third_and_two_thirds_of_the_way(layers: int) -> None:
    plan = space(layers=layers, channels=4).plan(drawn(0))
    widths = [plan[f"cell{n}_preprocess_1"].output.shape[0] for n in range(1, layers + 1)]
    first, second = layers // 3, 2 * layers // 3
    assert widths == [4] * first + [8] * (second - first) + [16] * (layers - second)


@pytest.mark.parametrize("resolution", [8, 15, 17])
def test_images_of_any_size_are_read(resolution: int) -> None:
    for stem in ("cifar", "imagenet"):
        loaded = space(stem=stem, resolution=resolution, layers=5)
        with torch.device("meta"):
            output = loaded.build(drawn(1))(torch.empty(2, 3, resolution, resolution))
        assert output.shape == (2, 10)
