"""Small spaces of every family whose parameters all matter, so that a wrong mask shows."""

from typing import Any

import pytest
import torch
from torch import nn

import search_spaces
from nas.differentiable.relaxation import Relaxation
from nas.supernet import Supernet
from tests.search_spaces.small import LARGE, SMALL


def small_options(*names: str) -> dict[str, Any]:
    return {name: SMALL[name] for name in names}


SPACES: dict[str, dict[str, Any]] = {
    "mobilenet_v3_32": {"width": 0.25, "resolutions": (24, 32)},
    "proxyless_mobilenet": {"resolution": 32, "n_classes": 4},
    "fbnet": {"head": 32, "n_classes": 4, "resolution": 16},
    "efficientnet": {"n_classes": 4, **small_options("resolutions", "depths", "widths")},
    "regnet": {
        "n_classes": 4,
        **small_options("resolution", "total_depths", "w_0", "w_a", "w_m", "group_widths", "stem_channels"),
    },
    "autoformer_32": {"resolution": 8},
    "nasbench201": {"channels": 4, "cells": 1, "resolution": 8},
    "darts": {"channels": 4, "layers": 3, "resolution": 8},
    "pvcnn": {"width": 0.125, "grid": 0.25, "n_points": 60},
    "spvnas_small": {
        "n_points": 60,
        "n_voxels": (50, 30, 14, 6, 3),
        "n_pairs": (60, 60, 30, 8, 2),
        "n_corners": (100, 120, 140, 150, 160),
    },
}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in SPACES]
)
def relaxation(request: pytest.FixtureRequest) -> Relaxation:
    """Returns the relaxation of a supernet of each family, whose norms differ from feature to feature."""
    torch.manual_seed(0)
    space = search_spaces.load(request.param, **SPACES[request.param])
    supernet = Supernet(space.independent)
    for module in supernet.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.5)
    return Relaxation(supernet)
