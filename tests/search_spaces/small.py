"""Every space, with options that make its networks quick to run."""

import dataclasses
from collections.abc import Collection
from functools import cache

import pytest
from _pytest.mark import ParameterSet

import search_spaces
from search_spaces import InputError, SearchSpace

SMALL = {
    "resolutions": (32, 48),
    "resolution": 32,
    "depths": (1, 2),
    "widths": (0.25, 0.5),
    "total_depths": (4, 8),
    "w_0": (8, 16),
    "w_a": (8.0, 16.0),
    "w_m": (2.0, 2.5),
    "group_widths": (4, 8),
    "stem_channels": 8,
    "n_classes": 7,
    "channels": 4,
    "cells": 1,
    "layers": 3,
    "grid": 0.25,
    "n_points": 300,
    "n_voxels": (200, 120, 70, 40, 20),
    "n_pairs": (300, 240, 160, 100, 60),
    "n_corners": (600, 700, 800, 900, 1000),
}
"""Where a space has them and takes them."""

LARGE = (
    "autoformer_base",
    "autoformer_small",
    "ofa_mobilenet_v3",
    "proxyless_mobilenet",
    "spvcnn",
    "spvnas",
    "tinynet",
)
"""Of the same blocks as `autoformer_tiny`, `mobilenet_v3_32`, `spvnas_small`, `efficientnet`, and many of them: what
takes seconds of each is a slow test of these."""


def all_but_slow(slow: Collection[str] = LARGE) -> list[ParameterSet]:
    """Return the names of all spaces, some of them marked slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in search_spaces.names()]


@cache
def small(name: str) -> SearchSpace:
    fields = {field.name for field in dataclasses.fields(search_spaces.load(name))}  # type: ignore[arg-type]
    try:
        return search_spaces.load(name, **{option: SMALL[option] for option in sorted(fields & SMALL.keys())})
    except InputError:
        return search_spaces.load(name)
