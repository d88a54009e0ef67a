"""What memory format and precision are worth in training, side by side in one run.

    python -m experiments.benchmarks.training_speed

Prints the median step (forward, backward) of the largest network of a space, and the median ratio to the first row over
pairs measured in turn.
"""

import argparse
import time
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import search_spaces
from experiments.command import at_least_one, one_line


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="mobilenet_v3_32", choices=search_spaces.names())
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    with one_line(parser.prog):
        at_least_one(batch=arguments.batch, rounds=arguments.rounds)
        variants = list(product([torch.contiguous_format, torch.channels_last], [torch.float32, torch.bfloat16]))
        steps = [_step(arguments.space, arguments.batch, arguments.device, *variant) for variant in variants]
        rounds = range(arguments.rounds + 2)  # two to warm up
        seconds = np.array([[_timed(step, arguments.device) for step in steps] for _ in rounds])[2:]
        print(f"{arguments.space}, batch {arguments.batch}, {arguments.device}, {torch.get_num_threads()} threads")
        for (memory_format, dtype), column in zip(variants, seconds.T, strict=True):
            ratio = np.median(column / seconds[:, 0])
            print(f"{memory_format!s:28} {dtype!s:16} {np.median(column) * 1e3:8.1f} ms  ratio {ratio:.2f}")


def _step(
    name: str, batch: int, device: str, memory_format: torch.memory_format, dtype: torch.dtype
) -> Callable[[], None]:
    space = search_spaces.load(name)
    network = space.build(space.largest()).to(device)
    network.to(memory_format=memory_format)  # type: ignore[call-overload]
    (images,) = space.example(space.largest(), batch, torch.Generator().manual_seed(0))
    images = images.to(device).to(memory_format=memory_format)
    labels = torch.zeros(batch, dtype=torch.long, device=device)

    def step() -> None:
        network.zero_grad()
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            loss = cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]

    return step


def _timed(step: Callable[[], None], device: str) -> float:
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
