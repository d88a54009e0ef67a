"""What a training step and an inference cost on shared weights, beside the same static subnet.

    python -m experiments.benchmarks.supernet_step --space mobilenet_v3_32

A training step is forward, loss, backward and the clearing of gradients. The optimiser is left out unless
`--with-optimiser` says otherwise: on shared weights it visits the whole store, whatever the architecture.
Both sides take turns within one process (A B, B A, ...), so that whatever else the machine does meets both alike, and
each ratio is the median over such pairs. The throughput is that of training steps on shared weights, of all networks
in turn, on one thread unless `--threads` says otherwise.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import search_spaces
from experiments.command import at_least_one, one_line
from nas.supernet import Supernet
from search_spaces import Architecture, SearchSpace
from search_spaces.images import channels_last

TARGET = 1.02

SETTINGS: dict[str, tuple[dict[str, Any], int]] = {
    "mobilenet_v3_32": ({"resolutions": (32,)}, 64),
    "ofa_mobilenet_v3": ({"resolutions": (224,)}, 8),
    "autoformer_32": ({"resolution": 16}, 64),
    "autoformer_tiny": ({}, 8),
    "autoformer_small": ({}, 4),
    "autoformer_base": ({}, 2),
    "nasbench201": ({}, 16),
    "darts": ({}, 16),
    "fbnet": ({}, 32),
    "pvcnn": ({"n_points": 2048, "grid": 0.5}, 4),
    "spvnas": (  # a tenth of a LiDAR frame
        {
            "n_points": 12338,
            "n_voxels": (9444, 6864, 4202, 2131, 948),
            "n_pairs": (9492, 11850, 11233, 7116, 3641),
            "n_corners": (25490, 34483, 45525, 53556, 58252),
        },
        1,
    ),
}
"""Options and batch size of each space."""

N_HELD_BATCHES = 4

Step = Callable[[], object]


@dataclass(frozen=True)
class Bench:
    """The supernet and what it is fed."""

    supernet: Supernet
    batch_size: int
    device: str
    with_optimiser: bool

    def example(self, architecture: Architecture) -> tuple[Tensor, ...]:
        """Return inputs of a network, images with their channels last in memory."""
        inputs = self.supernet.space.example(architecture, self.batch_size, torch.Generator().manual_seed(0))
        return tuple(
            x.to(self.device).contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.to(self.device)
            for x in inputs
        )

    def training(self, model: nn.Module, network: Callable[[], nn.Module], inputs: tuple[Tensor, ...]) -> Step:
        """Return a training step of a network, which is obtained anew, whose parameters `model` holds."""
        with torch.no_grad():
            logits = network()(*inputs)
        labels = torch.randint(logits.shape[1], logits.shape[:1], device=self.device)
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

        def step() -> None:
            cross_entropy(network()(*inputs), labels).backward()  # type: ignore[no-untyped-call]
            if self.with_optimiser:
                optimiser.step()
            optimiser.zero_grad()

        return step

    def inference(self, network: Callable[[], nn.Module], inputs: tuple[Tensor, ...], n_batches: int = 1) -> Step:
        """Return the inference of a network, which is obtained anew, over some batches."""

        def step() -> None:
            with torch.inference_mode():
                held = network()
                for _ in range(n_batches):
                    held(*inputs)

        return step

    def ratios(self, architecture: Architecture, n_pairs: int) -> tuple[float, float, dict[str, list[float]]]:
        """Return the static subnet's milliseconds in training and inference, and shared / static by kind of step."""
        static = self.supernet.extract(architecture)
        channels_last(static)

        def shared() -> nn.Module:
            return self.supernet.network(architecture)

        def alone() -> nn.Module:
            return static

        x = self.example(architecture)
        self.supernet.train()
        static.train()
        train_ms, train = _compare(self.training(self.supernet, shared, x), self.training(static, alone, x), n_pairs)
        self.supernet.eval()
        static.eval()
        once_ms, once = _compare(self.inference(shared, x), self.inference(alone, x), n_pairs)
        n = N_HELD_BATCHES
        _, held = _compare(self.inference(shared, x, n), self.inference(alone, x, n), n_pairs)
        return train_ms, once_ms, {"training": train, "inference": once, f"{N_HELD_BATCHES} batches": held}


def _compare(shared: Step, static: Step, n_pairs: int) -> tuple[float, list[float]]:
    """Return the static side's median milliseconds, and shared / static for each pair, in alternating order."""
    for step in (shared, static):
        step()
    static_ms, ratios = [], []
    for pair in range(n_pairs):
        order = (shared, static) if pair % 2 == 0 else (static, shared)
        spent = {step: _milliseconds(step) for step in order}
        static_ms.append(spent[static])
        ratios.append(spent[shared] / spent[static])
    return statistics.median(static_ms), ratios


def _milliseconds(step: Step) -> float:
    _wait()
    start = time.perf_counter()
    step()
    _wait()
    return (time.perf_counter() - start) * 1e3


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _subnets(space: SearchSpace, n_random: int) -> dict[str, Architecture]:
    sampled = space.decode(space.sample(n_random, np.random.default_rng(0)))
    return {"largest": space.largest(), "smallest": space.smallest(), **{a.id: a for a in sampled}}


def _row(name: str, train_ms: float, once_ms: float, medians: Sequence[float]) -> str:
    return f"{name:14}{train_ms:12.1f}{once_ms:12.1f}" + "".join(f"{ratio:14.3f}" for ratio in medians)


def compare_space(name: str, device: str, n_pairs: int, n_random: int, with_optimiser: bool) -> None:
    """Print the table of one space."""
    options, batch_size = SETTINGS[name]
    space = search_spaces.load(name, **options)
    torch.manual_seed(0)
    supernet = Supernet(space).to(device)
    channels_last(supernet)
    subnets = _subnets(space, n_random)
    bench = Bench(supernet, batch_size, device, with_optimiser)

    print(f"\n{name}, batch {batch_size}, {device}, {torch.get_num_threads()} threads, {n_pairs} pairs")
    print(f"{'':14}{'static, ms':>24}{'shared / static':>42}")
    kinds = ["training", "inference", f"{N_HELD_BATCHES} batches"]
    print(f"{'subnet':14}{'training':>12}{'inference':>12}" + "".join(f"{kind:>14}" for kind in kinds))
    pairs: dict[str, list[float]] = {kind: [] for kind in kinds}
    shared_ms = 0.0
    for subnet, architecture in subnets.items():
        train_ms, once_ms, ratios = bench.ratios(architecture, n_pairs)
        print(_row(subnet, train_ms, once_ms, [statistics.median(ratios[kind]) for kind in kinds]), flush=True)
        shared_ms += train_ms * statistics.median(ratios["training"])
        for kind in kinds:
            pairs[kind] += ratios[kind]
    medians = [statistics.median(pairs[kind]) for kind in kinds]
    print(f"{'median of all':38}" + "".join(f"{ratio:14.3f}" for ratio in medians))
    print(f"{'target':38}" + f"{TARGET:14.2f}" * len(kinds))
    print(f"training throughput: {batch_size * len(subnets) / shared_ms * 1e3:.3g} examples a second")


def main() -> None:
    """Compare steps on shared weights with those of static subnets."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--space", choices=SETTINGS, nargs="+", default=list(SETTINGS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=6, help="measurements of each side")
    parser.add_argument("--random", type=int, default=12, help="random subnets, beside the largest and the smallest")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--with-optimiser", action="store_true", help="count the optimiser's step in")
    options = parser.parse_args()
    with one_line(parser.prog):
        at_least_one(threads=options.threads, pairs=options.pairs)
        torch.set_num_threads(options.threads)
        for name in options.space:
            compare_space(name, options.device, options.pairs, options.random, options.with_optimiser)


if __name__ == "__main__":
    main()
