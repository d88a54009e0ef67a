"""Search strategies compared on a trained supernet: the same number of evaluations under the same latency budget.

    python -m experiments.shared_weights --run runs/digits --output runs/strategies-digits

Takes the supernet, the latency table, the budget and the metric of a finished `nas run`. Each strategy searches several
times; of each search the best network by the validation examples is scored on the test examples, too, all with
inherited weights. What was evaluated is kept in the output folder and never evaluated again, by whatever strategy, so
that a comparison that was stopped goes on. --readme puts the summary in a document.
"""

import argparse
import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from experiments import rivals
from experiments.command import at_least_one, resumable
from experiments.report import Section, markdown_table, write_text
from nas.bounds import LATENCY, feasible_region, model_files, read_models
from nas.candidates import sought_metric
from nas.constraint import in_words
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.evaluation.shared_weights import SharedWeights
from nas.objectives import FeasibleRegion, Objective
from nas.run_directory import digest, read_run
from nas.search import Search
from nas.search_options import SearchOptions
from nas.strategy import Strategy
from nas.training.checkpoint import FILE as CHECKPOINT
from nas.verbs.search import load_supernet, model_paths
from search_spaces.errors import InputError
from search_spaces.plan_index import Population
from search_spaces.progress import progress_bar
from search_spaces.storage import Journal, require_same

POPULATION = 20
"""Of strategies that have one: with their own they would draw at random for most of so few evaluations."""


class Remembered(Evaluator):
    """Another evaluator that is deterministic, each of whose networks is evaluated once and kept in a file.

    Args:
        evaluator: the other.
        journal: file of what was evaluated.
        belongs_to: what it is recorded under, so that it is not taken for another evaluator's.
    """

    batch_size = 1

    def __init__(self, evaluator: Evaluator, journal: Journal, belongs_to: Mapping[str, Any]) -> None:
        self.space, self.metrics = evaluator.space, evaluator.metrics
        self._evaluator, self._journal = evaluator, journal
        recorded = journal.recovered
        if recorded:
            require_same(f"what {journal.path} holds", recorded[0], belongs_to)
        else:
            journal.append([belongs_to])
        self._known = {np.array(record["row"]).tobytes(): record for record in recorded[1:]}

    def evaluate(self, population: Population) -> Metrics:
        for row in population:
            if row.tobytes() not in self._known:
                metrics = self._evaluator.evaluate(row[None])
                values = {name: float(metrics[name][0]) for name in self.metrics}
                record = {
                    "row": row.tolist(),
                    **{name: value if math.isfinite(value) else None for name, value in values.items()},
                }
                self._journal.append([record])
                self._known[row.tobytes()] = record
        records = [self._known[row.tobytes()] for row in population]
        return {name: np.array([record[name] for record in records], float) for name in self.metrics}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all strategies search: networks of a region, by a metric of the validation examples.

    Attributes:
        weights: what is searched.
        validation: evaluates on the validation examples.
        test: evaluates on the test examples.
        region: the networks that keep the budget.
        sought: the metric.
        belongs_to: says which weights and costs these are, for what strategies keep of their own.
    """

    weights: SharedWeights
    validation: Evaluator
    test: Evaluator
    region: FeasibleRegion
    sought: Objective
    belongs_to: Mapping[str, Any]


def main() -> None:
    """Search, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="output directory of `nas run`")
    parser.add_argument("--output", type=Path, required=True, help="folder of the report and of what was evaluated")
    few = (*rivals.COMPARED, "optuna_tpe")  # which is quick enough for so few networks
    parser.add_argument("--strategies", nargs="+", default=few, help="files of nas/strategies, pymoo_nsga2")
    parser.add_argument("--evaluations", type=int, default=100, help="distinct networks that a search evaluates")
    parser.add_argument("--seeds", type=int, default=5, help="searches of each strategy")
    parser.add_argument("--statistics", type=int, help="training examples for batch-norm statistics; unset: as the run")
    parser.add_argument(
        "--optimizer", choices=("sgd", "adamw"), help="of strategies that descend weights; unset: theirs"
    )
    parser.add_argument("--learning-rate", type=float, help="of these weights; unset: theirs")
    parser.add_argument("--readme", type=Path, help="document that gets the summary as its section strategies-supernet")
    arguments = parser.parse_args()
    with resumable(parser.prog):
        summary = compare(arguments)
    print(summary)


def compare(arguments: argparse.Namespace) -> str:
    """Search with every strategy and seed, write the report, return its table."""
    at_least_one(seeds=arguments.seeds, evaluations=arguments.evaluations)
    section = Section(arguments.readme, "strategies-supernet") if arguments.readme else None
    told = {"optimizer": arguments.optimizer, "learning_rate": arguments.learning_rate}
    loaded = with_options({name: rivals.load(name) for name in arguments.strategies}, told)
    found: dict[str, list[tuple[Metrics, Metrics]]] = {name: [] for name in loaded}
    with ExitStack() as stack:
        journals = [stack.enter_context(Journal(arguments.output / f"{part}.jsonl")) for part in ("validation", "test")]
        setting = read_setting(arguments.run, arguments.statistics, *journals)
        bar = stack.enter_context(progress_bar(len(loaded) * arguments.seeds, "compare", "search"))
        for seed in range(arguments.seeds):  # all strategies once, then again, so that a stop leaves whole rounds
            for name, strategy in loaded.items():
                descents = arguments.output / "descents" / f"{name}-{seed}"
                strategy.use(setting.weights, descents, setting.belongs_to, progress=False)
                found[name].append(search(setting, strategy, arguments.evaluations, seed))
                bar.update()
    summary = f"{summarised(setting.sought, found)}\nThe bounds are {in_words(setting.region.bounds)}.\n"
    write_text(arguments.output / "report.md", summary)
    if section:
        section.replace(summary)
    return summary


def with_options(loaded: Mapping[str, Strategy], told: Mapping[str, Any]) -> dict[str, Strategy]:
    """Return strategies with a small population, and those that descend weights with these options, unless None.

    Raises:
        InputError: no strategy that descends weights has one of these options.
    """
    options = {name: value for name, value in told.items() if value is not None}
    names = {name: _of_weights(one) for name, one in loaded.items()}
    for option in options.keys() - set().union(*names.values()):
        raise InputError(f"none of {', '.join(loaded)} descends weights with an option {option}: leave it out")
    return {
        name: dataclasses.replace(  # type: ignore[type-var]  # every strategy is a dataclass
            one,
            **{names[name][option]: value for option, value in options.items() if option in names[name]},
            **({"population": POPULATION} if "population" in _fields(one) else {}),
        )
        for name, one in loaded.items()
    }


def _of_weights(strategy: Strategy) -> dict[str, str]:
    """Return what a strategy calls the options of the weights that it descends, by what this command calls them."""
    if not strategy.searches_weights:
        return {}
    fields = _fields(strategy)  # a `learning_rate` beside that of the weights is the controller's
    rate = "weight_learning_rate" if "weight_learning_rate" in fields else "learning_rate"
    return {name: own for name, own in {"optimizer": "optimizer", "learning_rate": rate}.items() if own in fields}


def _fields(strategy: Strategy) -> set[str]:
    return {field.name for field in dataclasses.fields(strategy)}  # type: ignore[arg-type]  # every strategy is one


def read_setting(run: Path, n_statistics: int | None, validation: Journal, test: Journal) -> Setting:
    """Return what is searched, by the output directory of a finished `nas run`; evaluations are kept in journals."""
    options = read_run(run, "run")[0]["options"]
    supernet, data = load_supernet(run / "train")
    paths = model_paths(run / "search")
    budgets = {LATENCY: options["budget"], **options.get("bounds", {})}
    region = feasible_region(read_models(paths, {}), supernet.space, budgets)
    asked = SearchOptions(
        metric=options["search"]["metric"],
        n_validation=options["search"]["n_validation"],
        n_statistics=options["search"]["n_statistics"] if n_statistics is None else n_statistics,
    )
    belongs_to = descended(run, paths, region.bounds)
    of_test = {"supernet": belongs_to["supernet"], "n_statistics": asked.n_statistics}
    weights = SharedWeights(supernet, data, n_validation=asked.n_validation, n_statistics=asked.n_statistics)
    test_data = dataclasses.replace(data, validation=data.read_test())
    tested = SharedWeights(supernet, test_data, n_statistics=asked.n_statistics)
    return Setting(
        weights,
        Remembered(weights, validation, {**of_test, "n_validation": asked.n_validation}),
        Remembered(tested, test, of_test),
        region,
        sought_metric(data, asked),
        belongs_to,
    )


def descended(run: Path, paths: Mapping[str, Path], bounds: Mapping[str, float]) -> dict[str, Any]:
    """Return what a strategy that descends a run's supernet depends on, beside its own options."""
    files = {"supernet": run / "train" / CHECKPOINT, **model_files(paths)}
    return {**{name: digest(file) for name, file in files.items()}, "budgets": dict(bounds)}


def search(setting: Setting, strategy: Strategy, budget: int, seed: int) -> tuple[Metrics, Metrics]:
    """Return the best network's metrics on validation examples, with its predicted costs, and on test examples."""
    search = Search(setting.validation, strategy, [setting.sought], setting.region, budget=budget, seed=seed)
    history = search.run(progress=False)
    best = history.best(1, setting.sought)
    return {name: values[best] for name, values in history.metrics.items()}, setting.test.evaluate(
        history.population[best]
    )


def summarised(sought: Objective, found: dict[str, list[tuple[Metrics, Metrics]]]) -> str:
    """Return a line a strategy, the best by what was sought first: means over seeds and standard deviations."""

    def column(name: str, part: int, metric: str) -> Sequence[float]:
        return [float(metrics[part][metric][0]) for metrics in found[name]]

    def shown(values: Sequence[float]) -> str:
        return f"{np.mean(values):.4f} ({np.std(values):.4f})"

    of_validation, of_test = ([*metrics] for metrics in next(iter(found.values()))[0])
    order = sorted(
        found, key=lambda name: -float(np.mean(sought.score({sought.metric: np.array(column(name, 0, sought.metric))})))
    )
    rows = [
        [
            f"`{name}`",
            str(len(found[name])),
            *(shown(column(name, 0, metric)) for metric in of_validation),
            *(shown(column(name, 1, metric)) for metric in of_test),
        ]
        for name in order
    ]
    headings = [metric.replace("_", " ") for metric in of_validation] + [f"test {m.replace('_', ' ')}" for m in of_test]
    return markdown_table(["strategy", "searches", *headings], rows)


if __name__ == "__main__":
    main()
