"""Strategies search accelerators with networks as they search networks alone; bounds on area and power hold."""

import numpy as np
import pytest

import search_spaces
from experiments.codesign import OfNetworks, best_fixed, found
from latency_predictors.analytic.codesign import CodesignSpace, codesign_costs
from latency_predictors.analytic.counts import count_models
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.objectives import Objective
from search_spaces.plan_index import Population


class Larger(Evaluator):
    """Takes larger networks for better ones, and counts what it is asked."""

    metrics = ("accuracy",)
    batch_size = 16

    def __init__(self) -> None:
        self.space = search_spaces.load("mobilenet_v3_32", resolutions=(16,), width=0.25)
        self.asked: list[bytes] = []
        self._macs = count_models(self.space)["macs"]

    def evaluate(self, population: Population) -> Metrics:
        self.asked += [row.tobytes() for row in population]
        return {"accuracy": np.log(self._macs.predict(population))}


@pytest.mark.parametrize("strategy", ["nsga2", "random_search"])
def test_bounds_hold_and_networks_are_evaluated_once(strategy: str) -> None:
    networks = Larger()
    space = CodesignSpace(networks.space, array_rows=(8, 32), array_columns=(8, 32), buffer_kib=(16, 256))
    bounds = {"area_mm2": 4.0, "peak_watts": 1.5}
    rows = found(OfNetworks(space, networks), Objective("accuracy"), bounds, strategy, evaluations=60, seed=0)
    assert rows
    assert all(row["area_mm2"] <= 4.0 and row["peak_watts"] <= 1.5 for row in rows)
    latencies, accuracies = ([row[name] for row in rows] for name in ("latency_ms", "accuracy"))
    assert np.all(np.diff(latencies) > 0)
    assert np.all(np.diff(accuracies) > 0)
    assert len(networks.asked) == len(set(networks.asked))


def test_the_fixed_accelerator_is_the_fastest_within_the_bounds() -> None:
    space = CodesignSpace(Larger().space)
    fixed = best_fixed(space, {"area_mm2": 3.0})
    assert fixed.size == space.network.size
    largest = fixed.encode([{**space.network.largest(), **{c.name: c.options[0] for c in fixed.choices[-4:]}}])
    costs = codesign_costs(fixed)
    assert costs["area_mm2"].predict(largest)[0] <= 3.0
    everywhere = np.repeat(space.encode([{**space.smallest(), **space.network.largest()}]), 500, axis=0)
    everywhere[:, -4:] = space.sample(500, np.random.default_rng(0))[:, -4:]
    of_space = codesign_costs(space)
    inside = of_space["area_mm2"].predict(everywhere) <= 3.0
    fastest = of_space["latency_ms"].predict(everywhere[inside]).min()
    assert costs["latency_ms"].predict(largest)[0] <= fastest + 1e-12
