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
import pyarrow.parquet as pq
from scipy.stats import spearmanr

import search_spaces
from nas.data import DataOptions, load_data
from nas.evaluation.zero_cost import PROXIES, ZeroCost
from search_spaces.progress import progress_bar

ACCURACIES = ("c10_test_e200", "c100_test_e200")


def main() -> None:
    """Draw, ask, print."""
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
    data = load_data(DataOptions(arguments.data, image_size=arguments.resolution, channels=3))
    space = search_spaces.load(
        "nasbench201",
        resolution=arguments.resolution,
        cells=arguments.cells,
        channels=arguments.channels,
        **data.space_options(),
    )
    table = pq.read_table(arguments.benchmark, columns=["arch", "connected", *ACCURACIES])
    connected = np.flatnonzero(table.column("connected").to_numpy())
    rows = np.random.default_rng(arguments.seed).choice(connected, arguments.networks, replace=False)
    table = table.take(rows)
    strings = table.column("arch").to_pylist()
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
        correlations = [spearmanr(values, table.column(name).to_numpy()).statistic for name in ACCURACIES]
        print(f"{proxy:14}{correlations[0]:>10.3f}{correlations[1]:>11.3f}{seconds[proxy]:>13.3f}")


if __name__ == "__main__":
    main()
