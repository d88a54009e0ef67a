"""How well zero-cost proxies rank the networks of NAS-Bench-201, beside multiply-adds and parameters.

    python -m experiments.proxies --benchmark DATA/nasbench201.parquet --data digits --networks 100

Draws random architectures, builds the benchmark's networks of them, at `--cells` and `--channels` if they are to be
smaller, asks every proxy about them on some images, and prints Spearman's rank correlation of each with the published
test accuracies. Architectures whose cells compute nothing of the image are left out: any proxy tells those.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import search_spaces
from experiments.command import at_least_one, one_line
from experiments.tabular.table import read_columns
from nas.data import DataOptions, load_data
from nas.evaluation.zero_cost import PROXIES, ZeroCost
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar

ACCURACIES = ("c10_test_e200", "c100_test_e200")


def main() -> None:
    """Compare, or say in one line what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", type=Path, required=True, help="a Parquet file, one row an architecture")
    parser.add_argument("--data", default="digits", help="as `nas run --data` takes it")
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--examples", type=int, default=32, help="images of a batch; there are two batches")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--cells", type=int, default=5, help="of a stage; 5 in the benchmark")
    parser.add_argument("--channels", type=int, default=16, help="of the first stage; 16 in the benchmark")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with one_line(parser.prog):
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Draw, ask, print."""
    at_least_one(networks=arguments.networks)
    strings, accuracies = drawn(arguments.benchmark, arguments.networks, arguments.seed)
    data = load_data(DataOptions(arguments.data, image_size=arguments.resolution, channels=3))
    space = search_spaces.load(
        "nasbench201",
        resolution=arguments.resolution,
        cells=arguments.cells,
        channels=arguments.channels,
        **data.space_options(),
    )
    population = space.encode([space.from_string(string) for string in strings])  # type: ignore[attr-defined]
    columns: dict[str, list[float]] = {}
    seconds = {}
    for proxy in PROXIES:
        evaluator = ZeroCost(space, data, [proxy], n_examples=arguments.examples)
        start = time.perf_counter()
        with progress_bar(len(population), proxy, "network") as bar:
            for row in population:
                columns.setdefault(proxy, []).append(float(evaluator.evaluate(row[None])[proxy][0]))
                bar.update()
        seconds[proxy] = (time.perf_counter() - start) / len(population)
    print(
        f"Spearman with test accuracy after 200 epochs; {len(population)} networks, {data.name} at "
        f"{arguments.resolution} px, {arguments.cells} cells a stage, {arguments.channels} channels"
    )
    print(f"{'proxy':14}{'CIFAR-10':>10}{'CIFAR-100':>11}{'s a network':>13}")
    for proxy, values in columns.items():
        correlations = [spearmanr(values, accuracies[name]).statistic for name in ACCURACIES]
        print(f"{proxy:14}{correlations[0]:>10.3f}{correlations[1]:>11.3f}{seconds[proxy]:>13.3f}")


def drawn(benchmark: Path, n: int, seed: int) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """Return n architectures of a table, as text, and `ACCURACIES` (n,) of each.

    Raises:
        InputError: the table has not so many whose cells compute something of the image, or lacks a column.
    """
    columns = read_columns(benchmark, ["arch", "connected", *ACCURACIES])
    connected = np.flatnonzero(columns["connected"].to_numpy())
    if n > len(connected):
        raise InputError(f"--networks {n}: {benchmark.name} has {len(connected)} that compute something of the image")
    rows = np.random.default_rng(seed).choice(connected, n, replace=False)
    return columns["arch"].take(rows).to_pylist(), {name: columns[name].take(rows).to_numpy() for name in ACCURACIES}


if __name__ == "__main__":
    main()
