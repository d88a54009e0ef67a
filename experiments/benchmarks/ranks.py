"""What a training step costs on one process with all threads and on ranks that share these, and how losses differ.

    python -m experiments.benchmarks.ranks --space mobilenet_v3_32 --ranks 2

Both train by the sandwich rule on the digits, in turns of some steps in processes of their own; a step's time is the
median over all turns, beside it the processor time of one process, which what else the machine does leaves alone. The
difference of losses is that of two single-precision trainings whose sums have another order;
the same of one process with one thread and with all of them is told beside it.
"""

import argparse
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import search_spaces
from experiments.command import at_least_one, one_line
from nas.data import DataOptions, load_data
from nas.supernet import Supernet
from nas.training import SupernetOptions
from nas.training.descent import Descent, Student
from nas.training.elastic import train_elastically
from nas.training.ranks import Ranks
from search_spaces.errors import InputError
from search_spaces.images import channels_last


def take_steps(name: str, options: SupernetOptions, n_steps: int, result: Path) -> None:
    """Train for some steps; the first rank writes of each the seconds, its processor's seconds, and the loss."""
    data = load_data(DataOptions("digits", memory_gb=1))
    space = search_spaces.load(name, **data.space_options())
    torch.manual_seed(0)
    supernet = Supernet(space)
    channels_last(supernet)
    descent = Descent(supernet, data, options, Ranks.here())
    steps = []
    for step in range(n_steps):
        drawn = space.decode(space.sample(2, np.random.default_rng(step)))
        students = [
            Student(supernet.network(a), partial(space.prepare, architecture=a))
            for a in (space.largest(), space.smallest(), *drawn)
        ]
        begun = time.perf_counter(), time.process_time()
        loss = descent.descend(students, distil=True)
        steps.append((time.perf_counter() - begun[0], time.process_time() - begun[1], loss))
    if descent.ranks.is_first:
        result.write_text(json.dumps(steps))


def main() -> None:
    """Measure, and print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="mobilenet_v3_32")
    parser.add_argument("--ranks", type=int, default=2, help="processes; one process gets as many threads")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    with one_line(parser.prog):
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    """Train, print."""
    at_least_one(ranks=asked.ranks, batch_size=asked.batch_size, turns=asked.turns)
    if asked.steps < 2:
        raise InputError(f"--steps {asked.steps}: the first of a turn is not counted, expected at least 2")
    options = SupernetOptions(batch_size=asked.batch_size, device="cpu")
    ways = {
        "one process, one thread": (1, 1),
        f"one process, {asked.ranks} threads": (1, asked.ranks),
        f"{asked.ranks} ranks of one thread": (asked.ranks, asked.ranks),
    }
    taken: dict[str, list[Any]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory) / "steps.json"
        for _ in range(asked.turns):
            for way, (n_ranks, n_threads) in ways.items():
                torch.set_num_threads(n_threads)
                steps = partial(take_steps, asked.space, options, asked.steps, result)
                train_elastically(steps, n_ranks, torch.device("cpu"), result)
                taken[way].append(json.loads(result.read_text()))
    first = np.array(taken["one process, one thread"][0])[:, 2]
    for way, turns in taken.items():
        seconds, of_processor = (
            statistics.median(step[column] for turn in turns for step in turn[1:])  # the first makes views
            for column in (0, 1)
        )
        apart = ", ".join(f"{x:.0e}" for x in np.abs(np.array(turns[0])[:, 2] - first))
        print(
            f"{way}: {seconds:.2f} s a step, {of_processor:.2f} s of a processor; losses differ by {apart}", flush=True
        )


if __name__ == "__main__":
    main()
