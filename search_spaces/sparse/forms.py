"""The tensors that sparse blocks and networks read: features, and the lists of pairs that operations follow."""

from search_spaces.block import TensorSpec
from search_spaces.sparse.geometry import N_ROUNDS

AVERAGING = ("merges", "merge_counts", "first_points", "n_points")
INTERPOLATION = ("corners", "corner_counts", "shares")
"""The lists of the ways between voxels and points, by name, in the order in which operations take them."""


def features(axis: str, n: int, channels: int, name: str = "input") -> TensorSpec:
    """Return the form of the features of n points or voxels."""
    return TensorSpec((channels,), name, axis, n)


def neighbour_lists(n_voxels: int, n_pairs: int, suffix: str = "") -> tuple[TensorSpec, ...]:
    """Return the forms of the pairs and counts of a 3x3x3 convolution; in a network, a suffix tells strides apart."""
    pairs = TensorSpec((2,), f"neighbours{suffix}", f"neighbours{suffix}", n_pairs, "int64", n_voxels)
    return pairs, TensorSpec((13,), f"neighbour_counts{suffix}", "batch", 1, "int64", n_pairs + 1)


def child_lists(n_children: int, suffix: str = "", axis: str = "children") -> tuple[TensorSpec, ...]:
    """Return the forms of the pairs and counts that lead from voxels to those of twice the stride, and back."""
    pairs = TensorSpec((2,), f"children{suffix}", axis, n_children, "int64", n_children)
    return pairs, TensorSpec((8,), f"child_counts{suffix}", "batch", 1, "int64", n_children + 1)


def points_in_voxels(n_voxels: int, suffix: str = "") -> TensorSpec:
    """Return the form of the numbers of points in voxels."""
    return TensorSpec((), f"n_points{suffix}", f"voxels{suffix}", n_voxels)


def merge_lists(n_points: int, n_voxels: int, suffix: str = "") -> tuple[TensorSpec, ...]:
    """Return the forms of the merges of points, their counts, and the first points of voxels."""
    n_merges = n_points - n_voxels
    return (
        TensorSpec((2,), f"merges{suffix}", f"merges{suffix}", n_merges, "int64", n_points),
        TensorSpec((N_ROUNDS,), f"merge_counts{suffix}", "batch", 1, "int64", n_points),
        TensorSpec((), f"first_points{suffix}", f"voxels{suffix}", n_voxels, "int64", n_points),
    )


def corner_lists(n_points: int, n_corners: int, suffix: str = "") -> tuple[TensorSpec, ...]:
    """Return the forms of an interpolation's corners, counts and shares; there are no more voxels than points."""
    return (
        TensorSpec((2,), f"corners{suffix}", f"corners{suffix}", n_corners, "int64", n_points),
        TensorSpec((8,), f"corner_counts{suffix}", "batch", 1, "int64", n_points + 1),
        TensorSpec((), f"shares{suffix}", f"corners{suffix}", n_corners),
    )
