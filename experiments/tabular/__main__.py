"""Strategies compared on tables of results: what each found after 50, 100, 200 and 400 evaluations.

    python -m experiments.tabular --data FOLDER --strategies random_search nsga2 predictor_guided --seeds 20

FOLDER holds the files of NAS-Bench-201 (see `nasbench201.py`). Prints, for each strategy, the mean over problems and
seeds with the standard deviation over runs, and its mean rank over problems; --output draws the curves.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table as Printed
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from experiments.tabular.nasbench201 import ACCURACIES, read_latencies, read_nasbench201
from experiments.tabular.protocol import BUDGETS, Floats, Problem
from nas import strategies
from search_spaces.progress import progress_bar

FIGURES = ("region", "table", "short", "optimum")


def main() -> None:
    """Run all strategies on all problems, print the table, draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--strategies", nargs="+", default=strategies.names())
    parser.add_argument("--accuracies", nargs="+", default=list(ACCURACIES))
    parser.add_argument("--latencies", nargs="+", help="columns of latencies; unset: all")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--output", type=Path, help="picture of the curves")
    arguments = parser.parse_args()
    threadpool_limits(1)
    latencies = arguments.latencies or read_latencies(arguments.data)
    table = read_nasbench201(arguments.data, arguments.accuracies, latencies)
    problems = [Problem(table, accuracy, latency) for accuracy in arguments.accuracies for latency in latencies]
    results = {name: results_of(name, problems, arguments.seeds) for name in arguments.strategies}
    show(results, len(problems), arguments.seeds)
    if arguments.output:
        draw(results, arguments.output)


def results_of(name: str, problems: Sequence[Problem], n_seeds: int) -> Floats:
    """Return the figures of a strategy, (problems, seeds, budgets, figures)."""
    results = np.empty((len(problems), n_seeds, len(BUDGETS), len(FIGURES)))
    with progress_bar(len(problems) * n_seeds, name, "run") as bar:
        for i, problem in enumerate(problems):
            for seed in range(n_seeds):
                places = problem.search(strategies.load(name), seed)
                for j, budget in enumerate(BUDGETS):
                    figures = problem.figures(places[:budget])
                    results[i, seed, j] = [figures[figure] for figure in FIGURES]
                bar.update(1)
    return results


def show(results: dict[str, Floats], n_problems: int, n_seeds: int) -> None:
    """Print means, spread and ranks."""
    of_problems = np.stack(
        [found[..., 0].mean(axis=1) for found in results.values()]
    )  # (strategies, problems, budgets)
    ranks = (of_problems[:, None] < of_problems[None]).sum(axis=1).mean(axis=1) + 1
    console = Console()
    for j, budget in enumerate(BUDGETS):
        title = f"{budget} evaluations, {n_problems} problems x {n_seeds} seeds: mean (standard deviation of runs)"
        printed = Printed("strategy", *FIGURES, "rank by region", title=title)
        order = np.argsort([-found[:, :, j, 0].mean() for found in results.values()], kind="stable")
        for i in order:
            name = list(results)[i]
            cells = [
                f"{results[name][:, :, j, k].mean():.3f} ({results[name][:, :, j, k].std():.3f})"
                for k in range(len(FIGURES))
            ]
            printed.add_row(name, *cells, f"{ranks[i, j]:.1f}")
        console.print(printed)


def draw(results: dict[str, Floats], path: Path) -> None:
    """Write a picture of the share in the region of interest by budget, with the quartiles of runs."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, found in results.items():
        runs = found[..., 0].reshape(-1, len(BUDGETS))
        axes.plot(BUDGETS, runs.mean(axis=0), "o-", label=name)
        axes.fill_between(BUDGETS, *np.quantile(runs, [0.25, 0.75], axis=0), alpha=0.15)
    axes.set(xlabel="architectures evaluated", ylabel="share of the hypervolume, region of interest", xscale="log")
    axes.legend(fontsize="small")
    figure.savefig(path)


if __name__ == "__main__":
    main()
