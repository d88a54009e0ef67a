"""Lists of pairs that no scene has, with exactly the planned numbers of rows, to measure a block or a network on.

Neighbours are near in the order of rows, as they are in a scene, where rows are sorted by place.
"""

import torch
from torch import Tensor

from search_spaces.sparse.geometry import Voxels


def neighbours(n_voxels: int, n_pairs: int, n_frames: int, n_offsets: int = 13) -> tuple[Tensor, Tensor]:
    """Return pairs (n_pairs * n_frames, 2) and counts (n_frames, n_offsets); see `operations.convolve_neighbours`."""
    n, counts = n_voxels * n_frames, _even(n_pairs * n_frames, n_offsets)
    parts = []
    for offset, count in enumerate(counts):
        first = torch.arange(count) * n // max(count, 1)
        parts.append(torch.stack((first, (first + 1 + offset**2) % n), 1))
    return torch.cat(parts), _by_frame(counts, n_frames)


def children(n_fine: int, n_coarse: int, n_frames: int) -> tuple[Tensor, Tensor]:
    """Return pairs (n_fine * n_frames, 2) and counts (n_frames, 8); see `Voxels.coarser`."""
    n = n_fine * n_frames
    child = torch.arange(n)
    parent, place = child * (n_coarse * n_frames) // n, child % 8
    order = place.argsort(stable=True)
    counts = torch.bincount(place, minlength=8).tolist()
    return torch.stack((order, parent[order]), 1), _by_frame(counts, n_frames)


def points(n_points: int, n_voxels: int, n_frames: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return merges, counts, first points and numbers of points; see `operations.average_points`.

    Merges are (n_points - n_voxels, 2), counts (1, rounds), the others (n_voxels,), each as often as there are frames.
    """
    n, frame = n_voxels * n_frames, torch.arange(n_frames).repeat_interleave(n_points)
    of_point = torch.arange(n_points * n_frames) * n // (n_points * n_frames)
    voxels = Voxels(1, torch.arange(n), of_point, n_frames)
    return *voxels.merges(frame), voxels.n_points


def corners(n_points: int, n_voxels: int, n_corners: int, n_frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return corners (n_corners, 2), counts (1, 8) and shares (n_corners,), each as often as there are frames."""
    n = n_corners * n_frames
    corner = torch.arange(n)
    point = corner * (n_points * n_frames) // n
    voxel = (corner * (n_voxels * n_frames) // n + corner % 8) % (n_voxels * n_frames)
    order = (corner % 8).argsort(stable=True)
    counts = torch.bincount(corner % 8, minlength=8).tolist()
    shares = (1 / torch.bincount(point).float())[point]
    return torch.stack((voxel, point), 1)[order], _by_frame(counts, n_frames), shares[order]


def _even(total: int, n: int) -> list[int]:
    return [total * (i + 1) // n - total * i // n for i in range(n)]


def _by_frame(counts: list[int], n_frames: int) -> Tensor:
    """Return (n_frames, offsets): the counts of each offset, divided among the frames."""
    return torch.tensor([_even(count, n_frames) for count in counts]).t()
