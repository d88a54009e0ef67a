"""The found network beside what is found without a search.

    python -m experiments.baselines --run runs/digits

Compares, on the same shared weights and without fine-tuning, the network that a finished `nas run` exported with the
best of 50 random networks within the budget, by what the run sought on validation examples, and with the uniformly
scaled network that comes closest to the found one's latency: every choice the same share of the way from its first
option to its last. Scores are on test examples, too, and latency is measured side by side, on the first device alone.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.command import at_least_one, one_line
from latency_predictors.cost_model import CostModel
from latency_predictors.model import network_model
from nas.bounds import LATENCY, feasible_region, read_models
from nas.candidates import sought_metric
from nas.constraint import in_words
from nas.evaluation.batches import Batches
from nas.evaluation.shared_weights import SharedWeights, score
from nas.export import read_network
from nas.finalists import LatencyOptions, devices_at_hand, measure_networks
from nas.objectives import FeasibleRegion, Objective
from nas.run_directory import read_run
from nas.search_options import SearchOptions
from nas.verbs.search import load_supernet, model_paths
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError


def main() -> None:
    """Compare, or say in one line what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="output directory of `nas run`")
    parser.add_argument("--random", type=int, default=50, help="random networks to choose the best of")
    arguments = parser.parse_args()
    with one_line(parser.prog):
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Find the baselines, evaluate, measure, print."""
    at_least_one(random=arguments.random)
    asked, _ = read_run(arguments.run, "run")
    options = asked["options"]
    models = read_models(model_paths(arguments.run / "search"), {})
    here = devices_at_hand({LATENCY: models[LATENCY]}, otherwise="compare where its device is")
    if LATENCY not in here:
        raise InputError(f"{arguments.run}: its latency model names no device, so nothing can be measured side by side")
    at_hand = here[LATENCY]
    supernet, data = load_supernet(arguments.run / "train")
    budgets = {LATENCY: options["budget"], **options.get("bounds", {})}  # a run of an earlier version knew of none
    region = feasible_region(models, supernet.space, budgets)
    model, weights = models[LATENCY].cost_model(supernet.space), SharedWeights(supernet, data)
    _, best, *_ = read_network(arguments.run / "export")
    sought = sought_metric(data, SearchOptions(metric=options["search"]["metric"]))
    networks = {
        "found": best,
        "uniformly scaled": _uniformly_scaled(supernet.space, model, best),
        f"best of {arguments.random} random": _best_random(weights, region, arguments.random, sought),
    }
    scored = [Batches(data, part) for part in (data.validation, data.read_test())]
    rows: dict[str, list[Any]] = {}
    exported = []
    for name, architecture in networks.items():
        network = weights.extract(architecture)
        parts = [score(network, batches, weights.prepare(architecture)) for batches in scored]
        rows[name] = [architecture.id, *(part[metric] for part in parts for metric in data.metrics)]
        exported.append(network_model(supernet.space, architecture, network, at_hand.device.batch_size))
    for row, latency in zip(rows.values(), measure_networks(at_hand, exported, LatencyOptions()), strict=True):
        row.append(latency.latency_ms)
    _print(rows, data.metrics, region.bounds)


def _best_random(weights: SharedWeights, region: FeasibleRegion, n: int, sought: Objective) -> Architecture:
    population = region.space.canonical(region.sample(n, np.random.default_rng(1)))
    metrics = weights.evaluate(population)
    first = np.lexsort((metrics["cross_entropy"], -sought.score(metrics)))[:1]
    return region.space.decode(population[first])[0]


def _uniformly_scaled(space: SearchSpace, model: CostModel, like: Architecture) -> Architecture:
    """Return the network with every choice the same share of its way from first to last that is nearest in latency."""
    shares = np.linspace(0, 1, 201)[:, None]
    population = space.canonical(np.round(shares * (space.n_options - 1)).astype(np.int64))
    distance = np.abs(model.predict(population) - model.predict(space.encode([like])))
    return space.decode(population[[int(distance.argmin())]])[0]


def _print(rows: dict[str, list[Any]], metrics: Sequence[str], bounds: Mapping[str, float]) -> None:
    table = Table(title=f"shared weights, {in_words(bounds)}")
    scores = [f"{part} {metric}" for part in ("validation", "test") for metric in metrics]
    headings = ("network", "id", *scores, "measured ms")
    for heading in headings:
        table.add_column(heading)
    for name, row in rows.items():
        table.add_row(name, *(f"{value:.4f}" if isinstance(value, float) else value for value in row))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
