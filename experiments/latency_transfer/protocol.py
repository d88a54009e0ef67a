"""HELP's protocol: k measurements of a target out of a pool, predictions of a test set, how good they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import spearmanr

from experiments.latency_transfer.tables import Floats, LatencyData
from latency_predictors.learned.features import Features
from latency_predictors.transfer.design import at_random, most_telling
from latency_predictors.transfer.known_device import KnownDevice, fit_device, resemblance
from latency_predictors.transfer.transfer import CANDIDATES, Transfer

SAMPLES = (5, 10, 20, 50, 100)
METHODS = ("descriptors", "sources", "designed", "elsewhere")
"""What is used beside the measurements: descriptors of plans alone, networks at random; source devices, too; networks
chosen by design; and the same device's measurements in another space."""

FIGURES = ("trimmed", "spearman", "median error", "within 10 %", "coverage")
_TRIMMED = 0.1


@dataclass(frozen=True)
class Run:
    """One prediction: of a device's latencies in a space from k measurements, by a method."""

    space: str
    device: str
    method: str
    k: int
    seed: int


class Protocol:
    """Predictions on a table, each known device fitted once.

    Args:
        data: the tables, by space.
        space: the one whose networks are predicted.
    """

    def __init__(self, data: dict[str, LatencyData], space: str) -> None:
        self.data = data[space]
        self._others = {name: Protocol({name: other}, name) for name, other in data.items() if name != space}
        self._known: dict[str, KnownDevice] = {}
        self._factors: dict[tuple[tuple[str, ...], str, int], float] = {}

    @cached_property
    def features(self) -> Features:
        """Of the space."""
        return Features(self.data.space)

    def known(self, device: str) -> KnownDevice:
        """Return what the pool says of a device."""
        if device not in self._known:
            data, pool = self.data, self.data.pool
            latencies = data.latencies_ms[device][pool]
            self._known[device] = fit_device(self.features, device, data.population[pool], latencies)
        return self._known[device]

    def sources(self, device: str) -> list[KnownDevice]:
        """Return the source devices but one."""
        return [self.known(name) for name in self.data.devices("source") if name != device]

    def elsewhere(self, device: str) -> dict[str, float]:
        """Return what a device resembles in another space, of the sources of both; empty if it is known in none."""
        here = {name for name in self.data.devices("source") if name != device}
        for other in self._others.values():
            if device in other.data.latencies_ms and here & set(other.data.devices("source")):
                known = [source for source in other.sources(device) if source.name in here]
                predicted = other.known(device).predict(other.features, other.features.reference)
                return resemblance(other.features, predicted, known)
        return {}

    def run(self, run: Run) -> dict[str, float]:
        """Return the figures of a prediction."""
        data, known = self.data, [] if run.method == "descriptors" else self.sources(run.device)
        transfer = Transfer(self.features, known, self.elsewhere(run.device) if run.method == "elsewhere" else None)
        choose = most_telling if run.method in ("designed", "elsewhere") else at_random
        candidates = np.random.default_rng(run.seed).choice(data.pool, max(run.k, CANDIDATES), replace=False)
        places = candidates[choose(transfer, data.population[candidates], run.k)]
        latencies = data.latencies_ms[run.device]
        found = transfer.posterior(data.population[places], latencies[places])
        mean, deviation = found.predict(self.features, data.population[data.test])
        key = (tuple(device.name for device in known), choose.__name__, run.k)
        if key not in self._factors:
            self._factors[key] = Transfer(self.features, known).factor(run.k, choose)
        return figures(latencies[data.test], mean, self._factors[key] * deviation)

    def ceiling(self, device: str) -> dict[str, float]:
        """Return the figures of a prediction from the whole pool; and what noise leaves, where networks have copies."""
        data, known = self.data, self.known(device)
        latencies = data.latencies_ms[device]
        predicted = known.predict(self.features, data.population[data.test])
        return {**figures(latencies[data.test], predicted, predicted), "noise": _noise_ceiling(data, latencies)}


def figures(measured: Floats, predicted: Floats, width: Floats) -> dict[str, float]:
    """Return `FIGURES` of predicted latencies (n,) with intervals of half that width (n,)."""
    middle = trimmed(measured)
    error = np.abs(predicted / measured - 1)
    values = (
        float(spearmanr(predicted[middle], measured[middle]).statistic),
        float(spearmanr(predicted, measured).statistic),
        float(np.median(error)),
        float((error < 0.1).mean()),
        float((np.abs(predicted - measured) <= width).mean()),
    )
    return dict(zip(FIGURES, values, strict=True))


def trimmed(latencies: Floats) -> np.ndarray:
    """Return the places of the middle 80 % of latencies (n,)."""
    order, n = np.argsort(latencies, kind="stable"), round(len(latencies) * _TRIMMED)
    return np.asarray(order[n : len(order) - n])


def _noise_ceiling(data: LatencyData, latencies: Floats) -> float:
    """Return the rank correlation, trimmed, that true latencies would have with measured ones; 0 without copies.

    Copies of a network, measured apart, correlate by the square of it.
    """
    test = data.test[trimmed(latencies[data.test])]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(data.classes))
    copies: dict[int, list[int]] = {}
    for place in order:
        copies.setdefault(int(data.classes[place]), []).append(int(place))
    pairs = [(p, next((c for c in copies[int(data.classes[p])] if c != p), -1)) for p in test.tolist()]
    kept = np.array([pair for pair in pairs if pair[1] >= 0])
    if len(kept) < len(test) / 10:
        return 0.0
    return float(np.sqrt(max(0.0, spearmanr(latencies[kept[:, 0]], latencies[kept[:, 1]]).statistic)))


def planned(data: dict[str, LatencyData], roles: Sequence[str], seeds: int) -> list[Run]:
    """Return every prediction, those of targets first; of another space's devices from ten measurements at most."""
    runs = []
    for role in roles:
        for space, table in data.items():
            others = [other for name, other in data.items() if name != space]
            for device in table.devices(role):
                elsewhere = any(device in other.latencies_ms for other in others)
                for method in METHODS:
                    if method == "elsewhere" and not elsewhere:
                        continue
                    samples = [k for k in SAMPLES if method != "elsewhere" or k <= 10]
                    runs += [Run(space, device, method, k, seed) for k in samples for seed in range(seeds)]
    return runs
