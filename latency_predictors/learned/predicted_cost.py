"""Latencies that are predicted, not looked up: they say how far they may be off; each is one safetensors file."""

import copy
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

import search_spaces
from latency_predictors.cost_model import CostModel
from latency_predictors.device import Device
from latency_predictors.latencies import positive, require_stated
from latency_predictors.latency_model import LatencyModel
from latency_predictors.learned.features import Features
from latency_predictors.on_device.kit import UNIT
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.plan_index import Population
from search_spaces.storage import write_atomic

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

COVERAGE = 0.9
"""The share of networks whose cost an interval holds."""

_DRAWN = 4096
_STARTS = 4

_FEATURES = "features."
"""Before the names of their arrays in a file."""


@dataclass(frozen=True)
class Stored:
    """What the file of a model holds.

    Attributes:
        features: of the networks.
        measured: the networks (n, choices) that the model was fitted to, and their latencies (n,) in ms.
        about: plain values of what was fitted.
        arrays: the arrays of it.
    """

    features: Features
    measured: tuple[Population, Floats]
    about: Mapping[str, Any]
    arrays: Arrays


class PredictedCost(CostModel, LatencyModel):
    """A latency with an interval, whose extremes over the space are searched for.

    It is fitted to networks as they were measured, perhaps with parts that change nothing. It predicts those that the
    space builds, so all rows that are built alike cost the same.

    Attributes:
        space: the space.
        features: of its networks.
        population: the measured networks (n, choices) that it was fitted to.
        latencies_ms: theirs, (n,).
    """

    metric = "latency_ms"
    device: Device | None = None
    fingerprint: Mapping[str, str] | None = None

    space: SearchSpace
    features: Features
    population: Population
    latencies_ms: Floats

    def predict(self, population: Population) -> Floats:
        return self._predict(self.space.canonical(population))

    def interval(self, population: Population) -> tuple[Floats, Floats]:
        """Return bounds (N,), (N,) that hold 90 % of the costs of a population (N, choices)."""
        return self._interval(self.space.canonical(population))

    @abstractmethod
    def _predict(self, built: Population) -> Floats:
        """Return what `predict` does, for rows (N, choices) in canonical form."""

    @abstractmethod
    def _interval(self, built: Population) -> tuple[Floats, Floats]:
        """Return what `interval` does, for rows (N, choices) in canonical form."""

    def cost_model(self, space: SearchSpace) -> Self:
        if space.id != self.space.id:
            raise InputError(
                f"the latency model is of {self.space.to_json()}, not of {space.to_json()}: fit one to networks of "
                "this space, with these options"
            )
        return self

    def on_device(self, device: Device) -> Self:
        return self.measured_on(device, self.fingerprint)

    def measured_on(self, device: Device | None, fingerprint: Mapping[str, str] | None) -> Self:
        """Return the model of a device on the machine of a fingerprint, each None where it is not known."""
        found = copy.copy(self)
        found.device, found.fingerprint = device, fingerprint
        return found

    def save(self, path: Path) -> None:
        """Write what was fitted and what it was fitted to as one safetensors file."""
        about, arrays = self._to_file()
        document = {
            "schema": self.schema,
            "space": self.space.to_json(),
            "space_id": self.space.id,
            "device": None if self.device is None else self.device.to_json(),
            "fingerprint": None if self.fingerprint is None else dict(self.fingerprint),
            "unit": UNIT,
            **about,
        }
        arrays |= {f"{_FEATURES}{name}": array for name, array in self.features.arrays.items()}
        arrays = {**arrays, "measured.population": self.population, "measured.latencies_ms": self.latencies_ms}
        content = save({name: np.ascontiguousarray(x) for name, x in arrays.items()}, {"about": json.dumps(document)})
        write_atomic(path, lambda temporary: temporary.write_bytes(content))

    @classmethod
    def load(cls, path: Path) -> Self:
        about, arrays = _read(path, cls.schema)
        require_stated(about, {"unit": UNIT}, f"latency model {path}")
        try:
            measured = arrays.pop("measured.population"), arrays.pop("measured.latencies_ms")
            device = None if about["device"] is None else Device.from_json(about["device"])
            of_features = [name for name in arrays if name.startswith(_FEATURES)]
            kept = {name.removeprefix(_FEATURES): arrays.pop(name) for name in of_features}
            space = search_spaces.from_json(about["space"])
            if space.id != about["space_id"]:
                raise InputError(f"{path}: {space.name} has other options than when the model was fitted: fit it again")
            features = Features(space, kept)
            machine = about.get("fingerprint")
            require_measurements(features.space, *measured, fewest=1, origin=str(path))
            model = cls._from_file(Stored(features, measured, about, arrays))
            if not np.isfinite([model.margin, *model.predict(model.population), *model.tested()[1]]).all():
                raise ValueError("some of its numbers are not finite")
            return model.measured_on(device, None if machine is None else dict(machine))
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise InputError(f"{path} is not a whole {cls.schema} file ({error!r}): fit again") from None

    @abstractmethod
    def _to_file(self) -> tuple[dict[str, Any], Arrays]:
        """Return what was fitted: plain values and arrays."""

    @classmethod
    @abstractmethod
    def _from_file(cls, stored: Stored) -> Self:
        """Return what `_to_file` wrote."""

    def cheapest(self) -> tuple[float, Architecture]:
        """Return the lowest cost that a search finds, and its architecture.

        From the best of thousands of random networks, one choice is changed at a time until none helps: where blocks
        add up that is the lowest of the whole space, elsewhere a lower one may remain.
        """
        return self._extreme(1.0)

    def dearest(self) -> tuple[float, Architecture]:
        """Return the highest cost that a search finds, and its architecture; see `cheapest`."""
        return self._extreme(-1.0)

    def _extreme(self, sign: float) -> tuple[float, Architecture]:
        space = self.space
        known = space.encode([space.smallest(), space.largest()])
        drawn = np.concatenate([known, space.sample(_DRAWN, np.random.default_rng(0))])
        starts = drawn[np.argsort(sign * self.predict(drawn), kind="stable")[:_STARTS]]
        found = [self._descend(start, sign) for start in starts]
        cost, row = min(found, key=lambda one: sign * one[0])
        return cost, space.decode(space.canonical(row[None]))[0]

    def _descend(self, row: NDArray[np.integer], sign: float) -> tuple[float, NDArray[np.integer]]:
        """Return the lowest `sign` times the cost in reach of single changes, as the cost, and the row (choices,)."""
        cost = float(self.predict(row[None])[0])
        while True:
            near = self.space.neighbours(row)
            costs = self.predict(near)
            best = int((sign * costs).argmin())
            if sign * costs[best] >= sign * cost:
                return cost, row
            cost, row = float(costs[best]), near[best]


def _read(path: Path, schema: str) -> tuple[dict[str, Any], Arrays]:
    """Return the document and the arrays of a file.

    Raises:
        InputError: the file is missing, damaged, or follows another schema.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: expected a {schema} file")
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["about"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dictionary
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not a readable {schema} file ({error}): make it again") from None
    if about.get("schema") != schema:
        raise InputError(f"{path} follows schema {about.get('schema')!r}, expected {schema!r}: make it again")
    return about, arrays


def require_measurements(
    space: SearchSpace,
    population: Population,
    latencies_ms: Floats,
    fewest: int,
    origin: str = "",
    places: Sequence[str] = (),
) -> None:
    """Raise unless measurements can be learned from.

    Args:
        space: of the networks.
        population: the networks, (n, choices).
        latencies_ms: theirs, (n,).
        fewest: how many there must be.
        origin: where they were read, for errors.
        places: where each of them stands there, for errors.

    Raises:
        InputError: there are too few, a latency is no positive number, all are the same, or a network is there twice,
            perhaps with another option of a choice that changes none of its blocks.
    """
    before = f"{origin}: " if origin else ""
    places = places or [f"{before}measured network {number}" for number in range(1, len(population) + 1)]
    if len(population) != len(latencies_ms):
        raise InputError(f"{before}{len(population)} networks and {len(latencies_ms)} latencies: expected one for each")
    if len(latencies_ms) < fewest:
        raise InputError(f"{before}{len(latencies_ms)} measured networks: expected at least {fewest}")
    for place, latency_ms in zip(places, latencies_ms.tolist(), strict=True):
        positive(latency_ms, f"{place}: latency_ms is")
    if len(latencies_ms) > 1 and np.ptp(latencies_ms) == 0:
        raise InputError(f"{before}all measured networks took {latencies_ms[0]:g} ms: expected latencies that differ")
    measured = space.independent.canonical(population)
    _, first, of = np.unique(measured, axis=0, return_index=True, return_inverse=True)
    again = np.setdiff1d(np.arange(len(population)), first)
    if len(again):
        raise InputError(
            f"{places[again[0]]}: the same network as {places[first[of.ravel()[again[0]]]]}: keep one of their "
            "latencies, or their mean"
        )
