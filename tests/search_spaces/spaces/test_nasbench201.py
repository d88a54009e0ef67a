"""Cells of NAS-Bench-201: published strings, and what dead edges are."""

import copy
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import search_spaces
from search_spaces import InputError
from search_spaces.spaces.nasbench201 import NASBench201

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATIONS = ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
STRING = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"

cells = st.fixed_dictionaries({f"edge_{source}_{target}": st.sampled_from(OPERATIONS) for source, target in EDGES})


@cache
def space(**options: Any) -> NASBench201:
    loaded = search_spaces.load("nasbench201", channels=2, cells=1, resolution=8, **options)
    assert isinstance(loaded, NASBench201)
    return loaded


def live(cell: Mapping[str, Any]) -> set[tuple[int, int]]:
    """Return the edges on some path from input to output, found by walking every path there is."""
    used = {edge for edge in EDGES if cell[f"edge_{edge[0]}_{edge[1]}"] != "none"}
    paths = [[(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]]
    return {edge for path in paths if used.issuperset(path) for edge in path}


def starves(cell: Mapping[str, str]) -> bool:
    """Tell whether some operation reads a node that nothing arrives at."""
    reached = {0}
    for source, target in EDGES:
        if cell[f"edge_{source}_{target}"] != "none":
            if source not in reached:
                return True
            reached.add(target)
    return False


@given(cells)
def test_a_string_comes_back_as_it_went(cell: dict[str, str]) -> None:
    text = space().to_string(cell)
    assert dict(space().from_string(text)) == cell
    assert space().to_string(space().from_string(text)) == text


def test_a_published_string_is_read_edge_by_edge() -> None:
    operations = ("nor_conv_3x3", "none", "avg_pool_3x3", "skip_connect", "none", "nor_conv_1x1")
    expected = {f"edge_{source}_{target}": op for (source, target), op in zip(EDGES, operations, strict=True)}
    assert dict(space().from_string(STRING)) == expected
    assert space().to_string(expected) == STRING


@pytest.mark.parametrize(
    ("old", "new", "behind", "message"),
    [
        ("|nor_conv_3x3~0", "nor_conv_3x3~0", 0, r"has 'nor_conv_3x3~0\|\+\|non' at HERE, where '\|' is expected"),
        ("avg_pool", "min_pool", 0, "has 'min_pool_3x3~1.*' at HERE, where one of none, .* for edge 1-2 is expected"),
        ("connect~0", "connect~1", 7, r"has '~1\|.*' at HERE, where '~0\|' is expected"),
        ("+|skip_connect~0|none~1|nor_conv_1x1~2|", "", 0, r"has its end at HERE, where '\+\|' is expected"),
        ("~2|", "~2", 0, r"has '~2' at HERE, where '~2\|' is expected"),
        ("~2|", "~2|+|none~0|", 3, r"has '\+\|none~0\|' at HERE, where the end is expected"),
        (STRING, "", 0, r"string '' has its end at HERE, where '\|' is expected"),
    ],
)
def test_a_malformed_string_is_told_where(old: str, new: str, behind: int, message: str) -> None:
    assert old in STRING
    head, _, tail = STRING.partition(old)
    with pytest.raises(InputError, match=message.replace("HERE", f"character {len(head) + behind + 1}")):
        space().from_string(head + new + tail)


@given(st.integers(0, len(STRING)), st.text(max_size=3), st.integers(0, 3))
def test_any_text_is_an_architecture_or_told_as_none(start: int, new: str, n_cut: int) -> None:
    text = STRING[:start] + new + STRING[start + n_cut :]
    try:
        architecture = space().from_string(text)
    except InputError as error:
        complaint = str(error)
    else:
        complaint = "" if space().to_string(architecture) == text else "read as another"
    assert not complaint or re.search(r"at character \d+, where .* is expected$", complaint)
    assert "\n" not in complaint


@given(cells)
def test_the_plan_holds_the_live_edges(cell: dict[str, str]) -> None:
    slots = {(s, t): f"cell2_edge_{s}_{t}_{cell[f'edge_{s}_{t}']}" for s, t in EDGES}
    held = {name.removesuffix("_again") for name in space().plan(cell) if name.startswith("cell2_")}
    assert held == {slots[edge] for edge in live(cell)}
    plan = space(dead_edges="keep").plan(cell)
    held = {name.removesuffix("_again") for name in plan if name.startswith("cell2_")}
    assert held == {name for name in slots.values() if not name.endswith("none")}


def test_a_runtime_pools_once_what_two_edges_pool() -> None:
    """Latencies of blocks add up only if plans have what runtimes compute."""
    cell = space().from_string("|avg_pool_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|")
    plan = space().plan(cell)
    kinds = [
        type(plan[f"cell1_edge_0_{target}_avg_pool_3x3{end}"]).__name__ for target, end in ((1, ""), (2, "_again"))
    ]
    assert kinds == ["Pool", "Identity"]


def with_weights_of(network: nn.Module, other: nn.Module) -> nn.Module:
    """Return a copy of a network with the weights and statistics that another has in the same slots."""
    network = copy.deepcopy(network)
    network.load_state_dict({name: other.state_dict()[name] for name in network.state_dict()})
    return network


def images() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@settings(max_examples=40)
@given(cells.filter(lambda cell: not starves(cell)))
@example(dict.fromkeys((f"edge_{source}_{target}" for source, target in EDGES), "none"))
def test_dead_edges_change_nothing(cell: dict[str, str]) -> None:
    kept = space(dead_edges="keep").build(cell)
    removed = with_weights_of(space().build(cell), kept)
    torch.testing.assert_close(removed(images()), kept(images()), rtol=1e-5, atol=1e-5)


@settings(max_examples=40)
@given(cells, st.sampled_from(["remove", "keep"]))
def test_a_cell_adds_up_what_arrives_at_each_node(cell: dict[str, str], dead_edges: str) -> None:
    """Compares a network of one cell a stage with the formula of the paper, node by node."""
    network = space(dead_edges=dead_edges).build(cell).eval()
    modules = dict(network.named_children())

    def compute(number: int, x: Tensor) -> Tensor:
        nodes = [x, *(torch.zeros_like(x) for _ in range(3))]
        for source, target in EDGES:
            operation = cell[f"edge_{source}_{target}"]
            slot = f"cell{number}_edge_{source}_{target}_{operation}"
            if slot in modules or f"{slot}_again" in modules:
                # what is pooled again is what the first edge from there has pooled
                same = [name for name in modules if re.fullmatch(rf"cell{number}_edge_{source}_\d_{operation}", name)]
                module = modules[slot] if slot in modules else modules[same[0]]
                nodes[target] = nodes[target] + module(nodes[source])
        return nodes[3]

    x = compute(1, modules["stem"](images()))
    for number in (2, 3):
        x = compute(number, modules[f"reduction{number - 1}"](x))
    torch.testing.assert_close(network(images()), modules["classifier"](x))


def test_what_is_disconnected_says_the_same_of_every_image() -> None:
    nothing = space().from_string("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    starved = space().from_string("|none~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|")
    assert space().plan(nothing) == space().plan(starved)
    network = space().build(nothing).train()
    logits = network(images())
    assert torch.equal(logits, logits[:1].expand_as(logits))
    logits.sum().backward()
    assert network.get_submodule("classifier")[-1].bias.grad is not None  # type: ignore[index, union-attr]


def test_equal_plans_are_those_of_equal_live_edges() -> None:
    every = space().decode(np.indices((5,) * 6).reshape(6, -1).T)
    classes = {tuple((edge, a[f"edge_{edge[0]}_{edge[1]}"]) for edge in sorted(live(a))) for a in every}
    assert len(classes) == space().size == len(np.unique(space().canonical(space().encode(every)), axis=0))
    assert space().plan(dict.fromkeys(every[0], "none")) != space().plan(space().smallest()), "a skip is seen"


def test_the_index_is_exact() -> None:
    rows = np.indices((5,) * 6).reshape(6, -1).T[::7]
    index = space().index
    for row, ids in zip(space().decode(rows), index.block_ids(rows), strict=True):
        assert {s: index.blocks[i] for s, i in zip(index.slots, ids, strict=True) if i >= 0} == space().plan(row)
