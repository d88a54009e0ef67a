"""Spaces of published work have its figures, to the last digit."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import search_spaces
from search_spaces import Architecture, InputError, SearchSpace


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


def layers(embed: int, heads: list[int], ratios: list[float]) -> dict[str, float]:
    """Return the options of a vision transformer, some of which its space need not have."""
    return {
        "embed": embed,
        "depth": len(heads),
        **{f"heads_{layer}": option for layer, option in enumerate(heads, 1)},
        **{f"mlp_{layer}": option for layer, option in enumerate(ratios, 1)},
    }


AUTOFORMER_T = layers(192, [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3], [3.5, 3.5, 3, 3.5, 3, 3, 4, 4, 3.5, 4, 3.5, 4, 3.5])
AUTOFORMER_S = layers(384, [6, 6, 5, 7, 5, 5, 5, 6, 6, 7, 7, 6, 7], [3, 3.5, 3, 3.5, 4, 4, 4, 4, 4, 4, 4, 3.5, 4])
AUTOFORMER_B = layers(
    576, [9, 9, 9, 9, 9, 10, 9, 9, 10, 9, 10, 9, 9, 10], [3.5, 3.5, 4, 3.5, 4, 3.5, 3.5, 3, 4, 4, 3, 4, 3, 3.5]
)


@pytest.mark.parametrize(
    ("name", "options", "n_parameters", "published"),
    [
        ("autoformer_tiny", AUTOFORMER_T, 5_867_944, 5.8e6),
        ("autoformer_small", AUTOFORMER_S, 22_891_432, 22.9e6),
        ("autoformer_base", AUTOFORMER_B, 53_691_688, 53.7e6),
    ],
)
def test_autoformer(name: str, options: dict[str, float], n_parameters: int, published: float) -> None:
    """The searched networks of Chen et al., whose tiny one has MLP ratios of 3 that its space lacks."""
    found, _ = counted(search_spaces.load(name), options)
    assert found == n_parameters
    assert found == pytest.approx(published, abs=0.07e6)


def test_autoformer_without_relative_positions_has_a_table_less_for_keys_and_for_values() -> None:
    tables = 13 * 2 * 2 * (2 * 14 + 2) * 64  # layers, keys and values, rows and columns, distances, head dimension
    with_them, without = (
        counted(search_spaces.load("autoformer_tiny", relative_position=relative), AUTOFORMER_T)
        for relative in (True, False)
    )
    assert with_them[0] - without[0] == tables


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", (73_306, 7_783_040)),
        ("|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|skip_connect~2|", (73_306, 7_783_040)),
        (
            "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
            (129_306, 15_647_360),
        ),
        (
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
            (802_426, 113_951_360),
        ),
        (
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
            (1_531_546, 220_119_680),
        ),
    ],
)
def test_nasbench201(text: str, figures: tuple[int, int]) -> None:
    space = search_spaces.load("nasbench201", dead_edges="keep")
    assert counted(space, space.from_string(text)) == figures


DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


@pytest.mark.parametrize(
    ("options", "n_parameters"),
    [
        ({"channels": 36, "layers": 20}, 3_349_342),
        ({"channels": 48, "layers": 14, "stem": "imagenet", "resolution": 224, "n_classes": 1000}, 4_718_752),
    ],
    ids=["CIFAR-10, published as 3.3 M", "ImageNet, published as 4.7 M"],
)
def test_darts(options: dict[str, Any], n_parameters: int) -> None:
    space = search_spaces.load("darts", **options)
    assert counted(space, space.from_genotype(DARTS_V2))[0] == n_parameters


HW_NAS_BENCH = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
"""The candidates in the order of that benchmark's numbers."""


@pytest.mark.parametrize(
    ("numbers", "figures"),
    [
        ((7, 8, 1, 8, 4, 8, 8, 8, 7, 4, 1, 4, 7, 3, 2, 7, 3, 2, 4, 2, 4, 5), (1_790_500, 67_605_376)),
        ((5, 3, 5, 5, 0, 4, 7, 5, 5, 2, 0, 2, 4, 5, 1, 3, 7, 2, 6, 0, 4, 0), (1_695_572, 61_564_288)),
        ((8, 2, 1, 5, 1, 8, 4, 6, 6, 2, 5, 2, 5, 1, 2, 5, 2, 8, 2, 3, 5, 0), (1_737_316, 47_184_384)),
    ],
)
def test_fbnet(numbers: tuple[int, ...], figures: tuple[int, int]) -> None:
    space = search_spaces.load("fbnet")
    names = [choice.name for choice in space.choices]
    candidates = dict(zip(names, [HW_NAS_BENCH[number] for number in numbers], strict=True))
    assert counted(space, Architecture(candidates)) == figures


@pytest.mark.parametrize(
    ("name", "member", "n_parameters", "macs"),
    [
        ("efficientnet", "b0", 5_288_548, 0.39e9),
        ("efficientnet", "b1", 7_794_184, 0.70e9),
        ("efficientnet", "b2", 9_109_994, 1.0e9),
        ("efficientnet", "b3", 12_233_232, 1.8e9),
        ("efficientnet", "b4", 19_341_616, 4.2e9),
        ("efficientnet", "b5", 30_389_784, 9.9e9),
        ("efficientnet", "b6", 43_040_704, 19e9),
        ("efficientnet", "b7", 66_347_960, 37e9),
        ("tinynet", "a", 6_187_972, 339e6),
        ("tinynet", "b", 3_730_562, 202e6),
        ("tinynet", "c", 2_457_234, 100e6),
        ("tinynet", "d", 2_338_446, 52e6),
        ("tinynet", "e", 2_042_972, 24e6),
    ],
)
def test_scaled_networks(name: str, member: str, n_parameters: int, macs: float) -> None:
    """Multiply-adds were published in two digits, parameters of TinyNets too."""
    space = search_spaces.load(name)
    found = counted(space, space.published(member))  # type: ignore[attr-defined]
    assert found == (n_parameters, pytest.approx(macs, rel=0.05))


REGNETS = {
    "total_depths": (13, 14, 15, 16, 18, 21, 22, 25, 27),
    "w_0": (24, 48, 56, 80, 88),
    "w_a": (20.71, 24.48, 26.31, 27.89, 32.54, 34.01, 35.73, 36.44, 36.97, 38.84, 42.63),
    "w_m": (2.09, 2.24, 2.25, 2.28, 2.32, 2.4, 2.49, 2.54, 2.65, 2.66),
    "group_widths": (8, 16, 24, 48),
}


@pytest.mark.parametrize(
    ("squeeze_excite", "member", "n_parameters", "macs"),
    [
        (False, "200mf", 2_684_792, 0.2e9),
        (False, "400mf", 5_157_512, 0.4e9),
        (False, "600mf", 6_196_040, 0.6e9),
        (False, "800mf", 7_259_656, 0.8e9),
        (False, "1.6gf", 9_190_136, 1.6e9),
        (False, "3.2gf", 15_296_552, 3.2e9),
        (True, "200mf", 3_162_996, 0.2e9),
        (True, "400mf", 4_344_144, 0.4e9),
        (True, "600mf", 6_055_160, 0.6e9),
        (True, "800mf", 6_263_168, 0.8e9),
        (True, "1.6gf", 11_202_430, 1.6e9),
        (True, "3.2gf", 19_436_338, 3.2e9),
    ],
)
def test_regnets(squeeze_excite: bool, member: str, n_parameters: int, macs: float) -> None:
    space = search_spaces.load("regnet", squeeze_excite=squeeze_excite, **REGNETS)
    found = counted(space, space.published(member))  # type: ignore[attr-defined]
    assert found == (n_parameters, pytest.approx(macs, rel=0.01))


@pytest.mark.parametrize("squeeze_excite", [False, True])
def test_every_regnet_up_to_800_million_multiply_adds_is_in_the_space(squeeze_excite: bool) -> None:
    space = search_spaces.load("regnet", squeeze_excite=squeeze_excite)
    for member in ("200mf", "400mf", "600mf", "800mf"):
        assert space.published(member)["depth"] in (13, 14, 15, 16, 22)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "member", "message"),
    [
        ("efficientnet", "b8", "unknown network of efficientnet 'b8': did you mean b"),
        ("tinynet", "b0", "unknown network of tinynet 'b0'"),
        ("regnet", "400gf", "unknown network of regnet '400gf': did you mean 400mf"),
        ("regnet", "3.2gf", "unknown option of depth '25'"),
    ],
)
def test_networks_that_a_space_lacks_are_told(name: str, member: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        search_spaces.load(name).published(member)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("ofa_mobilenet_v3", {"resolutions": (224,)}, 7371**5),
        ("ofa_mobilenet_v3", {}, 7371**5 * 25),
        ("proxyless_mobilenet", {}, 6**6 * 7**15),
        ("mobilenet_v3_32", {"resolutions": (32,)}, 258**4),
        ("mobilenet_v3_32", {}, 258**4 * 2),
        ("autoformer_tiny", {}, 3 * sum((2 * 2) ** depth for depth in (12, 13, 14))),
        ("autoformer_small", {}, 3 * sum((3 * 3) ** depth for depth in (12, 13, 14))),
        ("autoformer_base", {}, 3 * sum((2 * 3) ** depth for depth in (14, 15, 16))),
        ("autoformer_32", {}, 3 * sum((3 * 3) ** depth for depth in (3, 4, 5, 6))),
        # of the stages: channels behind them; then of each the transition, and one or two widths within
        ("spvnas", {}, (3 * 5 * 9 * 17) * (17 * 9 * 6 * 6) * (7 * (7 + 7**2)) ** 8),
        ("spvnas_small", {}, (2 * 3 * 3) * (3 * 3 * 2) * (3 * (3 + 3**2)) ** 6),
        ("spvcnn", {}, 13),
        ("nasbench201", {"dead_edges": "keep"}, 5**6),
        ("nasbench201", {}, 9445),
        ("darts", {}, (180 * 7**8) ** 2),
        ("fbnet", {}, 9**22),
        ("efficientnet", {}, 8 * 7 * 7),
        ("tinynet", {}, 10 * 6 * 5),
        ("regnet", {}, 1475),
    ],
)
def test_sizes(name: str, options: dict[str, Any], size: int) -> None:
    assert search_spaces.load(name, **options).size == size
