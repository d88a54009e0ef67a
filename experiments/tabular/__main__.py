"""Search strategies compared on a table of results: fronts, and the best under limits, by architectures evaluated.

    python -m experiments.tabular --data FOLDER --output runs/tabular
    python -m experiments.tabular --files a.parquet --choices op_0 op_1 --accuracies top1 --latencies phone_ms \\
        --output runs/other

FOLDER holds NAS-Bench-201 in the files that `nasbench201.py` names. Any other benchmark is a Parquet file with one
column a choice and one a metric, or several files that --key joins. Choices of numbers have an order to strategies of
Optuna and pymoo; choices of text are categories to all, and so are numbers that are mere codes if --categories names
their columns. Accuracies are in per cent, or whatever else is better the higher; latencies are positive.

Writes `report.md`, with tables, ranks over problems and curves with their spread, `figures.csv`, and below `searches/`
what every search evaluated, from which a comparison that was stopped goes on; delete `searches/STRATEGY.jsonl` when a
strategy has changed. --readme puts the summary in a document.
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from experiments import rivals
from experiments.command import at_least_one, resumable
from experiments.report import Section
from experiments.tabular.comparison import Comparison
from experiments.tabular.nasbench201 import accuracies_in, latencies_in, nasbench201_in
from experiments.tabular.protocol import LIMITS, Problem
from experiments.tabular.report import write_report
from experiments.tabular.runs import Run, search_all
from experiments.tabular.table import Benchmark, read_table
from nas import strategies
from search_spaces.errors import InputError, unknown

DEVICES = ("1080ti_32", "fpga", "gold_6240", "pixel3", "raspi4", "samsung_s7")
"""One of each kind, as far as the table has them; all that it has if none of these."""

SEEDS = ("20", "optuna_nsga2=5")
"""Fewer of those whose searches take seconds."""


def main() -> None:
    """Run what is missing, write the report, print its summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder of NAS-Bench-201's Parquet files")
    source.add_argument(
        "--files", type=Path, nargs="+", help="Parquet files of another benchmark, choices in the first"
    )
    parser.add_argument("--choices", nargs="+", help="columns of --files that are choices")
    parser.add_argument(
        "--categories", nargs="+", default=(), help="those of them whose numbers are codes, in no order"
    )
    parser.add_argument("--key", help="column that several --files are joined by; unset: index")
    parser.add_argument("--output", type=Path, required=True, help="folder of the report and of what was searched")
    parser.add_argument("--strategies", nargs="+", default=rivals.COMPARED, help="files of nas/strategies, pymoo_nsga2")
    parser.add_argument("--accuracies", nargs="+", help="columns; of NAS-Bench-201 unset: tests after 200 epochs")
    parser.add_argument(
        "--latencies", nargs="+", help=f"columns; of NAS-Bench-201 also the word all; unset: {' '.join(DEVICES)}"
    )
    parser.add_argument("--seeds", nargs="+", help=f"of all, or STRATEGY=SEEDS; unset: {' '.join(SEEDS)}")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--readme", type=Path, help="document that gets the summary as its section strategies-tabular")
    arguments = parser.parse_args()
    threadpool_limits(1)
    with resumable(parser.prog):
        summary = compare(arguments)
    print(summary)
    print(f"the whole report: {arguments.output / 'report.md'}")


def compare(arguments: argparse.Namespace) -> str:
    """Run what is missing, write the report, return its summary."""
    at_least_one(processes=arguments.processes)
    section = Section(arguments.readme, "strategies-tabular") if arguments.readme else None
    require_compared(arguments.seeds or (), arguments.strategies)
    seeds = {name: n_seeds(name, arguments.seeds or SEEDS) for name in arguments.strategies}
    benchmark, accuracies, latencies = asked_nasbench201(arguments) if arguments.data else asked_files(arguments)
    accuracies, latencies = list(dict.fromkeys(accuracies)), list(dict.fromkeys(latencies))
    require_apart({"choice": benchmark.choices, "accuracy": accuracies, "latency": latencies})
    table = read_table(benchmark, [*accuracies, *latencies])
    fronts = [Problem(table, accuracy, latency) for accuracy in accuracies for latency in latencies]
    limited = [Problem(table, problem.accuracy, problem.latency, limit) for problem in fronts for limit in LIMITS]
    runs = planned([*fronts, *limited], seeds)
    found = search_all(runs, benchmark, arguments.output / "searches", arguments.processes)
    summary = write_report(arguments.output, benchmark.name, Comparison(fronts, found), Comparison(limited, found))
    if section:
        section.replace(summary)
    return summary


def asked_nasbench201(arguments: argparse.Namespace) -> tuple[Benchmark, list[str], list[str]]:
    """Return NAS-Bench-201, and its columns of accuracies and of latencies that are asked for.

    Raises:
        InputError: it has none, or a latency is not there, or options are given that are of other benchmarks.
    """
    if arguments.choices or arguments.categories:
        raise InputError("--choices and --categories are known of NAS-Bench-201: leave them out, or use --files")
    if arguments.key:
        raise InputError(f"--key {arguments.key} does nothing to NAS-Bench-201: leave it out, or use --files")
    benchmark, known = nasbench201_in(arguments.data), latencies_in(arguments.data)
    accuracies = arguments.accuracies or accuracies_in(arguments.data)
    latencies = arguments.latencies or [name for name in DEVICES if name in known] or known
    latencies = known if "all" in latencies else latencies
    for kind, found in (("accuracies ending in _test_e200", accuracies), ("latencies", latencies)):
        if not found:
            there = ", ".join(benchmark.columns())
            raise InputError(f"{arguments.data} has no columns of {kind}: it has {there}")
    for latency in latencies:
        if latency not in known:
            raise unknown("column of latencies", latency, known)
    return benchmark, accuracies, latencies


def asked_files(arguments: argparse.Namespace) -> tuple[Benchmark, list[str], list[str]]:
    """Return the benchmark that files hold, and its columns of accuracies and of latencies.

    Raises:
        InputError: an option does not say which columns these are.
    """
    if arguments.key and len(arguments.files) == 1:
        raise InputError(f"--key {arguments.key} does nothing, as a single file is joined to none: leave it out")
    benchmark = Benchmark(
        tuple(arguments.files),
        tuple(arguments.choices or ()),
        tuple(arguments.categories),
        **({"key": arguments.key} if arguments.key else {}),
    )
    for name in ("choices", "accuracies", "latencies"):
        if not getattr(arguments, name):
            raise InputError(
                f"--files takes --{name}, too: columns of {benchmark.name}: {', '.join(benchmark.columns())}"
            )
    return benchmark, arguments.accuracies, arguments.latencies


def require_apart(columns: Mapping[str, Sequence[str]]) -> None:
    """Raise unless no column is of two kinds; of columns by kind.

    Raises:
        InputError: one is.
    """
    for (kind, names), (other, others) in combinations(columns.items(), 2):
        for name in names:
            if name in others:
                raise InputError(f"column {name} is given as {kind} and as {other}: leave it out of one of them")


def require_compared(said: Sequence[str], compared: Sequence[str]) -> None:
    """Raise unless all strategies of which seeds are said are compared, and seeds are said of each once.

    Raises:
        InputError: one is not, with the nearest that are; or two numbers are said of one, or of all.
    """
    known: dict[str, str] = {}
    for text in said:
        name = text.rpartition("=")[0]
        if name and name not in compared:
            raise unknown("strategy of --seeds", name, compared)
        if name in known:
            raise InputError(f"--seeds {known[name]} {text}: expected one number of {name or 'all'}, leave one out")
        known[name] = text


def n_seeds(strategy: str, said: Sequence[str]) -> int:
    """Return the seeds of a strategy: what is said of it, else what is said of all.

    Raises:
        InputError: nothing is, or no positive number.
    """
    numbers = {name: number for name, _, number in (text.rpartition("=") for text in said)}
    number = numbers.get(strategy, numbers.get("", "nothing"))
    if not (number.isdecimal() and int(number)):
        raise InputError(f"seeds of {strategy}, {number}: expected a positive number, as in --seeds 20 {strategy}=5")
    return int(number)


def planned(problems: Sequence[Problem], seeds: Mapping[str, int]) -> list[Run]:
    """Return every search for what a strategy serves, with so many seeds each.

    Raises:
        InputError: a strategy needs more than a table of results.
    """
    loaded = {name: rivals.load(name) for name in seeds}
    for strategy in loaded.values():
        strategies.require_searches(strategy, problems[0].table.space)
    return [
        Run(name, problem.accuracy, problem.latency, problem.limit, seed)
        for name, n in seeds.items()
        for problem in problems
        if problem.is_served_by(loaded[name])
        for seed in range(n)
    ]


if __name__ == "__main__":
    main()
