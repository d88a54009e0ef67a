"""Sparse convolutions of `search_spaces.sparse` beside those of the library spconv, and a whole SPVCNN, on one frame.

    pip install spconv
    python -m experiments.benchmarks.sparse_convolution --frame frame.npz

The frame is a NumPy file whose `points` are (points, 4): x, y, z in metres and remission. Both sides convolve the same
features at the same voxels with the same weights, turn about in one process, and each time is the fastest of its turns.
spconv's CPU build raises in the backward pass, so only forward passes are compared. `--without-spconv` leaves it out.
Last, the network runs on the frame in onnxruntime, on inputs that the bundle's NumPy function makes of the raw points.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

import search_spaces
from experiments.command import at_least_one, one_line
from search_spaces import SearchSpace
from search_spaces.errors import InputError
from search_spaces.network_inputs.sparse import inputs_from_points
from search_spaces.onnx import to_onnx
from search_spaces.points import PointClouds
from search_spaces.sparse.geometry import geometry, offsets
from search_spaces.sparse.operations import convolve_neighbours

CHANNELS = ((4, 32), (32, 32), (64, 64), (128, 128))

TOLERANCE = 1e-5
"""Largest difference between the two sides, as a part of the largest output."""

ARCHITECTURE = {"scale": 0.5}

Side = Callable[[], Any]


def fastest(sides: Mapping[str, Side], n_turns: int) -> dict[str, float]:
    """Return each side's milliseconds, the fastest of its turns, which they take one after the other."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(n_turns + 1):  # the first warms up
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            spent[name].append((time.perf_counter() - start) * 1e3)
    return {name: min(times[1:]) for name, times in spent.items()}


def read_frame(path: Path) -> PointClouds:
    """Return the frame that a NumPy file holds.

    Raises:
        InputError: it is no such file, or holds no points (points, 4).
    """
    try:
        points = torch.from_numpy(np.load(path)["points"]).float()
    except (OSError, ValueError, KeyError, IndexError, EOFError, TypeError, BadZipFile) as error:
        raise InputError(f"frame {path}: {' '.join(str(error).split())}: expected a .npz file with points") from None
    if points.ndim != 2 or points.shape[1] != 4:
        raise InputError(f"frame {path}: points {tuple(points.shape)}, expected (points, 4)")
    return PointClouds(points[:, :3].contiguous(), points, torch.zeros(len(points), dtype=torch.long), 1)


class Spconv:
    """The library's convolution at the same voxels."""

    def __init__(self, clouds: PointClouds, voxel_size: float) -> None:
        try:
            import spconv.pytorch as spconv
        except ImportError:
            raise InputError("spconv is not installed: pip install spconv, or give --without-spconv") from None
        self.library = spconv
        places = (clouds.coordinates.double() * (1 / voxel_size)).floor().long()
        places = torch.unique(places - places.amin(0), dim=0)  # by x, y, z: the order of our rows
        self.shape = (places.amax(0) + 1).tolist()
        self.places = torch.cat((torch.zeros_like(places[:, :1]), places), 1).int()

    def convolution(self, x: Tensor, weight: Tensor) -> Callable[[], Tensor]:
        """Return a convolution that keeps its table of neighbours, with a weight (offsets, in, out) of ours."""
        spconv = self.library
        layer = spconv.SubMConv3d(
            *weight.shape[1:], 3, bias=False, indice_key="shared", algo=spconv.ConvAlgo.Native
        ).eval()
        with torch.no_grad():
            for part, (i, j, k) in zip(weight, offsets(3), strict=True):
                layer.weight[:, 1 + i, 1 + j, 1 + k] = part.t()
        frame = spconv.SparseConvTensor(x, self.places, self.shape, 1)
        layer(frame)  # makes the table
        return lambda: layer(frame).features


def compare_convolutions(clouds: PointClouds, voxel_size: float, n_turns: int, library: Spconv | None) -> None:
    """Print the times of one convolution by its channels."""
    lists = geometry(clouds, voxel_size, 1, ())
    pairs, counts, n_voxels = lists["neighbours_1"], lists["neighbour_counts_1"], len(lists["n_points_1"])
    print(f"{n_voxels} voxels of {voxel_size} m, {2 * len(pairs)} pairs, {torch.get_num_threads()} thread; ms")
    print(f"{'channels':12}{'forward':>12}{'and backward':>16}{'spconv forward':>18}{'difference':>14}")
    for before, after in CHANNELS:
        x = torch.randn(n_voxels, before, requires_grad=True)
        weight = torch.nn.Parameter(torch.randn(27, before, after) / before**0.5)
        sides = _sides(x, pairs, counts, weight)
        difference = ""
        if library is not None:
            sides["spconv"] = torch.no_grad()(library.convolution(x.detach(), weight))
            ours, theirs = sides["forward"](), sides["spconv"]()
            relative = float((ours - theirs).abs().max() / ours.abs().max())
            difference = f"{relative:.1e}" + (" WRONG" if relative > TOLERANCE else "")
        times = fastest(sides, n_turns)
        theirs_ms = f"{times['spconv']:.1f}" if "spconv" in times else "-"
        print(
            f"{f'{before}-{after}':12}{times['forward']:12.1f}{times['both']:16.1f}{theirs_ms:>18}{difference:>14}",
            flush=True,
        )


def _sides(x: Tensor, pairs: Tensor, counts: Tensor, weight: Tensor) -> dict[str, Side]:
    def forward() -> Tensor:
        y: Tensor = convolve_neighbours(x, pairs, counts, weight)
        return y

    return {"forward": torch.no_grad()(forward), "both": lambda: torch.autograd.grad(forward().sum(), (x, weight))}


def measure_network(clouds: PointClouds, voxel_size: float, n_turns: int) -> None:
    """Print the times of a whole SPVCNN at half width."""
    space = search_spaces.load("spvcnn", voxel_size=voxel_size)
    network = space.build(ARCHITECTURE)
    (made,) = fastest({"geometry": lambda: geometry(clouds, **space.preparation)}, n_turns).values()  # type: ignore[attr-defined]
    inputs = space.prepare(clouds, ARCHITECTURE)
    network.eval()
    with torch.inference_mode():
        (inference,) = fastest({"inference": lambda: network(*inputs)}, n_turns).values()
    network.train()
    training = []
    for _ in range(n_turns + 1):
        start = time.perf_counter()
        logits = network(*inputs)
        between = time.perf_counter()
        logits.sum().backward()
        training.append((between - start, time.perf_counter() - between))
    forward, backward = (min(times) for times in zip(*training[1:], strict=True))
    print(
        f"SPVCNN {ARCHITECTURE}: geometry {made / 1e3:.2f} s, inference {inference / 1e3:.2f} s, "
        f"training: forward {forward:.2f} s, backward {backward:.2f} s"
    )
    compare_runtimes(space, network.eval(), clouds)


def compare_runtimes(space: SearchSpace, network: nn.Module, clouds: PointClouds) -> None:
    """Print how far onnxruntime is from torch on a frame that is not the one that was exported with."""
    coordinates, features = clouds.coordinates[::50].contiguous(), clouds.features[::50].contiguous()
    traced = space.prepare(PointClouds(coordinates, features, clouds.cloud[::50], 1), ARCHITECTURE)
    (model,) = to_onnx([network], [space.inputs(ARCHITECTURE)], [traced])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = inputs_from_points(clouds.coordinates.numpy(), clouds.features.numpy(), **space.preparation)  # type: ignore[attr-defined]
    (actual,) = session.run(None, {value.name: inputs[value.name] for value in session.get_inputs()})
    with torch.inference_mode():
        expected = network(*space.prepare(clouds, ARCHITECTURE))
    difference = float(np.abs(actual - expected.numpy()).max())
    print(f"onnxruntime differs by {difference:.1e}, where logits spread over {float(expected.std()):.1e}")


def main() -> None:
    """Time sparse convolutions and a whole network on one frame."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--frame", type=Path, required=True, help="NumPy file with points (points, 4)")
    parser.add_argument("--voxel-size", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--without-spconv", action="store_true")
    options = parser.parse_args()
    with one_line(parser.prog):
        at_least_one(threads=options.threads, turns=options.turns)
        torch.set_num_threads(options.threads)
        torch.manual_seed(0)
        clouds = read_frame(options.frame)
        library = None if options.without_spconv else Spconv(clouds, options.voxel_size)
        compare_convolutions(clouds, options.voxel_size, options.turns, library)
        measure_network(clouds, options.voxel_size, options.turns)


if __name__ == "__main__":
    main()
