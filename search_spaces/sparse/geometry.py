"""The geometry of a batch of frames: its voxels at every stride, and the lists of pairs that the operations follow.

Made once from the points alone, and shared by all layers and all subnets. A voxel is one integer: the number of its
frame and its three coordinates, packed so that the order of the integers is that of (frame, x, y, z). So voxels are
found by sorting, and neighbours by binary search. `network_inputs.sparse` is the same in NumPy.
"""

import itertools
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from search_spaces.errors import InputError
from search_spaces.points import PointClouds

N_STRIDES = 5
"""The most strides of a network: 1, 2, 4, 8, 16."""

N_BITS = 17
"""Bits of one packed coordinate, which leaves 12 for the number of the frame."""

_MIDDLE = 1 << N_BITS - 1
_FRAME = 3 * N_BITS
"""The first bit of the frame's number."""

_STEPS = (1 << 2 * N_BITS, 1 << N_BITS, 1)
"""What a step along x, y and z adds to a voxel's number."""

LARGEST = _MIDDLE - 64
"""Coordinates of voxels lie within -LARGEST and LARGEST: those of neighbours then fit in their bits, at all strides."""

MOST_FRAMES = 1 << 63 - _FRAME

N_ROUNDS = 20
"""Rounds of adding up the points of a voxel two by two: a voxel holds at most 2^20."""

Offset = tuple[int, int, int]


def strides(n: int) -> tuple[int, ...]:
    """Return the first n strides."""
    return tuple(1 << level for level in range(n))


def offsets(kernel: int) -> list[Offset]:
    """Return the offsets (x, y, z) of a kernel in the order of its weights.

    Of an odd kernel the centre comes first, then shell by shell each offset and its mirror image: a smaller kernel's
    are the first of a larger one's. Those of kernel 2 lead from a voxel's first child to its children.
    """
    if kernel % 2 == 0:
        return list(itertools.product(range(kernel), range(kernel), range(kernel)))
    return [(0, 0, 0), *(way for x, y, z in _half(kernel) for way in ((x, y, z), (-x, -y, -z)))]


def _half(kernel: int) -> list[Offset]:
    """Return one offset of each two that mirror each other, shell by shell."""
    reach = range(-(kernel // 2), kernel // 2 + 1)
    half = [offset for offset in itertools.product(reach, reach, reach) if offset > (0, 0, 0)]
    return sorted(half, key=lambda offset: max(map(abs, offset)))


@dataclass(frozen=True)
class Voxels:
    """The occupied voxels of one stride.

    Attributes:
        stride: edge of a voxel in voxels of stride 1.
        numbers: (voxels,), packed, ascending.
        of_point: (points,), the row of each point's voxel.
        n_frames: how many frames there are.
    """

    stride: int
    numbers: Tensor
    of_point: Tensor
    n_frames: int

    @property
    def n_points(self) -> Tensor:
        """(voxels,) float32: the number of points in each."""
        return torch.bincount(self.of_point, minlength=len(self.numbers)).float()

    def merges(self, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return merges, counts and first points of `operations.average_points`.

        Args:
            frame: (points,), the number of each point's frame.

        Raises:
            InputError: a voxel holds too many points.
        """
        ordered, order = self.of_point.sort(stable=True)
        starts = torch.searchsorted(ordered, torch.arange(len(self.numbers), device=order.device))
        place = torch.arange(len(order), device=order.device) - starts[ordered]
        if int(place.max()) >= 1 << N_ROUNDS:
            raise InputError(
                f"{int(place.max()) + 1} points in one voxel: at most {1 << N_ROUNDS}; take smaller voxels"
            )
        later = place.nonzero().squeeze(1)
        # a point joins the one that its place's lowest bit is before it, in the round of that bit
        step = place[later] & -place[later]
        rounds, by_round = (torch.frexp(step.double()).exponent.long() - 1).sort(stable=True)
        joining, joined = order[later[by_round]], order[(later - step)[by_round]]
        counts = torch.bincount(frame[joining] * N_ROUNDS + rounds, minlength=N_ROUNDS * self.n_frames)
        return torch.stack((joining, joined), 1), counts.view(-1, N_ROUNDS), order[starts]

    def neighbours(self, kernel: int = 3) -> tuple[Tensor, Tensor]:
        """Return the pairs (pairs, 2) and counts (frames, offsets // 2) of `operations.convolve_neighbours`."""
        found = {}
        for offset, first, second in self._matches(_half(kernel)):
            frames = self.numbers[first] >> _FRAME
            found[offset] = torch.stack((first, second), 1), torch.bincount(frames, minlength=self.n_frames)
        pairs, counts = zip(*(found[offset] for offset in _half(kernel)), strict=True)
        return torch.cat(pairs), torch.stack(counts, 1)

    def _matches(self, wanted: list[Offset]) -> Iterator[tuple[Offset, Tensor, Tensor]]:
        """Yield offset by offset the rows that have a neighbour there, and its row.

        What is sorted by z at last holds a column's neighbours side by side: one search finds the first of them.
        """
        ended = torch.cat((self.numbers, self.numbers.new_tensor([-1])))
        for (x, y), column in itertools.groupby(sorted(wanted), key=lambda offset: offset[:2]):
            heights = [z for _, _, z in column]
            target = self.numbers + (x * _STEPS[0] + y * _STEPS[1] + heights[0])
            place = torch.searchsorted(self.numbers, target)
            for z in range(heights[0], heights[-1] + 1):
                hit = ended[place] == target
                rows = hit.nonzero().squeeze(1)
                yield (x, y, z), rows, place[rows]
                place += hit
                target += 1

    def coarser(self) -> tuple["Voxels", Tensor, Tensor]:
        """Return the voxels of twice the stride, and the lists that lead to them from these, their children.

        Returns:
            the voxels; the pairs (these voxels, 2) of child and parent, sorted by the child's place in the parent; and
            their counts (frames, 8) by frame and place.
        """
        low = sum(_STEPS)  # the lowest bit of each coordinate
        high = low << N_BITS - 1
        coordinates = (1 << _FRAME) - 1
        halved = (self.numbers >> 1) & (coordinates ^ high) | self.numbers & ~coordinates
        numbers, parent = torch.unique(halved, return_inverse=True)
        odd = self.numbers & low
        place = (odd >> 2 * N_BITS - 2 | odd >> N_BITS - 1 | odd) & 7
        order = place.argsort(stable=True)
        counts = torch.bincount((self.numbers >> _FRAME) * 8 + place, minlength=8 * self.n_frames)
        coarse = Voxels(2 * self.stride, numbers, parent[self.of_point], self.n_frames)
        return coarse, torch.stack((order, parent[order]), 1), counts.view(-1, 8)

    def corners(self, positions: Tensor, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the corners (corners, 2), counts (frames, 8) and shares (corners,) of `operations.interpolate`.

        Trilinear between the centres of voxels; what falls to empty ones is divided among the others.

        Args:
            positions: (points, 3) float64, in voxels of stride 1.
            frame: (points,).
        """
        scaled = positions * (1 / self.stride) - 0.5
        base = scaled.floor()
        upper = scaled - base
        base = base.long() + _MIDDLE // self.stride
        number = (frame << _FRAME) + (base * _steps(base)).sum(1)
        ended = torch.cat((self.numbers, self.numbers.new_tensor([-1])))
        rows, weights = [], []
        for x, y in itertools.product(range(2), repeat=2):
            along = (upper[:, 0] if x else 1 - upper[:, 0]) * (upper[:, 1] if y else 1 - upper[:, 1])
            target = number + (x * _STEPS[0] + y * _STEPS[1])
            place = torch.searchsorted(self.numbers, target)
            for z in range(2):
                hit = ended[place] == target
                rows.append(place.where(hit, -1))
                weights.append((along * (upper[:, 2] if z else 1 - upper[:, 2])) * hit)
                place = place + hit
                target += 1
        total = sum(weights[1:], weights[0])
        found, share = torch.stack(rows), torch.stack(weights) / total
        corner, point = (found >= 0).nonzero(as_tuple=True)
        counts = torch.bincount(frame[point] * 8 + corner, minlength=8 * self.n_frames).view(-1, 8)
        return torch.stack((found[corner, point], point), 1), counts, share[corner, point].float()


def geometry(
    clouds: PointClouds, voxel_size: float, n_strides: int, point_strides: Container[int]
) -> dict[str, Tensor]:
    """Return the lists of a batch of frames by the names of a network's inputs, which end in the stride.

    Args:
        clouds: the frames.
        voxel_size: edge of a voxel at stride 1, in metres.
        n_strides: how many strides the network has: 1, 2, 4, ...
        point_strides: the strides at which points and voxels meet.

    Raises:
        InputError: a frame has no points, or one that is not finite or too far away.
    """
    positions = _positions(clouds, voxel_size)
    number = (clouds.cloud << _FRAME) + ((positions.floor().long() + _MIDDLE) * _steps(positions)).sum(1)
    numbers, of_point = torch.unique(number, return_inverse=True)
    voxels = Voxels(1, numbers, of_point, clouds.n_clouds)
    lists = {}
    for stride in strides(n_strides):
        if stride > 1:
            voxels, lists[f"children_{stride}"], lists[f"child_counts_{stride}"] = voxels.coarser()
        lists[f"neighbours_{stride}"], lists[f"neighbour_counts_{stride}"] = voxels.neighbours()
        lists[f"n_points_{stride}"] = voxels.n_points
        if stride in point_strides:
            names = (f"merges_{stride}", f"merge_counts_{stride}", f"first_points_{stride}")
            lists |= zip(names, voxels.merges(clouds.cloud), strict=True)
            names = (f"corners_{stride}", f"corner_counts_{stride}", f"shares_{stride}")
            lists |= zip(names, voxels.corners(positions, clouds.cloud), strict=True)
    return lists


def count_rows(clouds: PointClouds, voxel_size: float) -> list[dict[str, Any]]:
    """Return for each frame the fields of a point-voxel space that say how many rows it has, the sparsest frame first.

    Those of the middle frame are a typical one's; the first and the last show how far scenes differ.
    """
    rows = []
    for frame in range(clouds.n_clouds):
        own = clouds.cloud == frame
        alone = PointClouds(clouds.coordinates[own], clouds.features[own], torch.zeros_like(clouds.cloud[own]), 1)
        lists = geometry(alone, voxel_size, N_STRIDES, strides(N_STRIDES))
        fields: dict[str, Any] = {"n_points": len(alone)}
        for field, name in (("n_voxels", "n_points"), ("n_pairs", "neighbours"), ("n_corners", "corners")):
            fields[field] = tuple(max(1, len(lists[f"{name}_{stride}"])) for stride in strides(N_STRIDES))
        # a list of merges has a pair, even where every point has a voxel of its own
        fields["n_points"] = max(fields["n_points"], fields["n_voxels"][0] + 1)
        fields["n_corners"] = tuple(max(n, fields["n_points"]) for n in fields["n_corners"])
        rows.append(fields)
    return sorted(rows, key=lambda fields: fields["n_voxels"])


def _positions(clouds: PointClouds, voxel_size: float) -> Tensor:
    """Return the points (points, 3) float64 in voxels of stride 1.

    Raises:
        InputError: a frame has no points, or one that is not finite or too far away.
    """
    if clouds.n_clouds > MOST_FRAMES:
        raise InputError(f"{clouds.n_clouds} frames in one batch: at most {MOST_FRAMES} can be told apart")
    clouds.require_usable()
    positions = clouds.coordinates.double() * (1 / voxel_size)
    far = (positions.abs() >= LARGEST).any(1)
    if far.any():
        point = int(far.nonzero()[0])
        raise InputError(
            f"point {point} lies at {clouds.coordinates[point].tolist()} m: with voxels of {voxel_size} m coordinates "
            f"must lie within {LARGEST * voxel_size:.6g} m; leave it out, or take larger voxels"
        )
    return positions


def _steps(like: Tensor) -> Tensor:
    return torch.tensor(_STEPS, device=like.device)
