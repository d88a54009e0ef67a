"""What a search is after: the metric to raise or lower, the bounds that hold, and the networks that keep them."""

import itertools
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat
from pydantic.dataclasses import dataclass

from latency_predictors.cost_model import CostModel
from nas.constraint import Constraint, in_words, violations
from nas.feasibility import nearest
from nas.pareto import Scores
from search_spaces import SearchSpace
from search_spaces.errors import InputError, refuses_plainly
from search_spaces.plan_index import Population, distinct

_SAMPLING_ROUNDS = 50
_BREEDING_ROUNDS = 20
_ENUMERATED = 1 << 16
"""Of a space with no more combinations of options, the networks that are left are found one and all."""

_DRAWN = 1024
"""So many networks of a larger one are drawn to find some that are new."""

_WALKING_SWEEPS = 5
"""So often a random walk draws each choice anew: enough for costs to spread as they do in uniform samples."""


_PUBLISHED = {"soft": -0.07, "hard": -1.0, "absolute": -0.07}
"""Exponents of rewards."""


@refuses_plainly
@dataclass(frozen=True, config=ConfigDict(arbitrary_types_allowed=True))
class Objective:
    """A metric to be raised, or lowered if `maximise` is false.

    Attributes:
        metric: one of the evaluator's, or the name under which the cost of `model` is recorded.
        maximise: whether higher is better.
        model: predicts the metric of any network without an evaluation, so that a strategy may ask it as it likes.
    """

    metric: str
    maximise: bool = True
    model: CostModel | None = None

    @property
    def costs(self) -> Mapping[str, CostModel]:
        """The cost models that are asked beside the evaluator, by the metrics that their costs are recorded under."""
        return {} if self.model is None else {self.metric: self.model}

    def score(self, metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return (N,): higher is better; of metrics (N,) by name."""
        values = metrics[self.metric]
        return values if self.maximise else -values

    def to_json(self) -> dict[str, Any]:
        """Return what a search for it is told apart by."""
        return {"metric": self.metric, "maximise": self.maximise}


@refuses_plainly
@dataclass(frozen=True, config=ConfigDict(arbitrary_types_allowed=True))
class Reward(Objective):
    """A metric and a cost in one number, for strategies of one objective: what they find is near a target cost.

    With T the target, t the cost and a the metric: `soft` is a (t/T)^w, whatever the cost; `hard` is a up to the target
    and a (t/T)^w beyond it (MnasNet; Tan et al., CVPR 2019: -0.07 and -1); `absolute` is a + w |t/T - 1| (TuNAS;
    Bender et al., CVPR 2020: -0.07), which neither rewards what is cheaper than was asked for.

    Attributes:
        cost: predicts the cost.
        target: the cost that is aimed at, in the model's unit.
        kind: which of the three.
        exponent: w, negative; None for that of the kind's paper.

    Raises:
        InputError: the target is not positive, the exponent not negative, there is no such kind, or the metric is to be
            lowered.
    """

    cost: CostModel = Field(kw_only=True)
    target: float = Field(kw_only=True)
    kind: Literal["soft", "hard", "absolute"] = Field(default="absolute", kw_only=True)
    exponent: float | None = Field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.target) and self.target > 0):
            raise InputError(f"a reward's target of {self.target} is no cost: expected a positive number")
        if not self._w < 0:
            raise InputError(f"a reward's exponent of {self.exponent} would reward high costs: expected a negative one")
        if not self.maximise:
            mend = "give its negative" if self.kind == "absolute" else "give its negative, with the kind absolute"
            raise InputError(f"a reward raises a metric: {self.metric} is to be lowered; {mend}")

    @property
    def costs(self) -> Mapping[str, CostModel]:
        return {self.cost.metric: self.cost, **super().costs}

    @property
    def _w(self) -> float:
        return _PUBLISHED[self.kind] if self.exponent is None else self.exponent

    def score(self, metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return (N,), as of any objective.

        Raises:
            InputError: a metric that is multiplied is negative.
        """
        values, ratio = metrics[self.metric], metrics[self.cost.metric] / self.target
        if self.kind == "absolute":
            return np.asarray(values + self._w * np.abs(ratio - 1))
        if (values < 0).any():
            raise InputError(
                f"a {self.kind} reward multiplies {self.metric}: {values[values < 0][0]:.4g} would be the better the "
                "dearer it is; expected a metric that is never negative, or the kind absolute"
            )
        penalty = ratio**self._w
        return np.asarray(values * (penalty if self.kind == "soft" else np.where(ratio > 1, penalty, 1.0)))

    def to_json(self) -> dict[str, Any]:
        own = {"cost": self.cost.metric, "target": self.target, "kind": self.kind, "exponent": self._w}
        return super().to_json() | own


@refuses_plainly
@dataclass(frozen=True)
class Limit:
    """A bound on a metric that is known only once a network is evaluated; one on a predicted cost is a `Constraint`.

    Raises:
        InputError: the bound is no finite number.
    """

    metric: str
    at_most: FiniteFloat

    def violation(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N,): by how much values exceed the bound, relative to it; 0 for those that keep it."""
        excess: NDArray[np.float64] = np.maximum(values - self.at_most, 0.0) / (abs(self.at_most) or 1.0)
        return excess


def scores_of(objectives: Sequence[Objective], metrics: Mapping[str, NDArray[np.float64]]) -> Scores:
    """Return the scores (N, objectives) of networks with these metrics, (N,) each."""
    return np.stack([objective.score(metrics) for objective in objectives], axis=1)


def violations_of(limits: Sequence[Limit], metrics: Mapping[str, NDArray[np.float64]], n: int) -> NDArray[np.float64]:
    """Return (n,): the summed violation of all limits; 0 where all are kept."""
    summed: NDArray[np.float64] = np.sum(
        [np.zeros(n), *(limit.violation(metrics[limit.metric]) for limit in limits)], axis=0
    )
    return summed


def read_budget(text: str, metric: str) -> tuple[float, bool]:
    """Return a budget's number, and whether it is a percentage.

    Raises:
        InputError: no number, another unit, or a value that is not positive and finite.
    """
    unit = metric.rpartition("_")[2]
    suffix = "%" if text.strip().endswith("%") else unit
    try:
        number = float(text.strip().removesuffix(suffix)) if text.strip().endswith(suffix) else math.nan
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0) or (suffix == "%" and number > 100):
        raise InputError(
            f"budget {text!r} of {metric}: expected a positive number with its unit, such as 2.5{unit}, or a "
            "percentage up to 100%"
        )
    return number, suffix == "%"


def _checked_latency(text: str) -> str:
    read_budget(text, "latency_ms")
    return text


LatencyBudget = Annotated[str, AfterValidator(_checked_latency)]
"""What `parse_budget` takes for a latency, so that a misspelt one is refused before anything runs."""


def parse_budget(text: str, model: CostModel, metric: str | None = None) -> float:
    """Return the bound that a budget means for a cost model.

    Args:
        text: a number with the unit of the model's metric, such as "0.25ms" for `latency_ms`, or a percentage: how
            far to go from the space's lowest guarded cost to its highest.
        model: predicts the cost.
        metric: what the cost is called; None: as the model calls it.

    Raises:
        InputError: no number, another unit, or a value that is not positive and finite.
    """
    number, is_percentage = read_budget(text, metric or model.metric)
    if not is_percentage:
        return number
    low, high = (cost * (1 + model.margin) for cost in (model.cheapest()[0], model.dearest()[0]))
    return low + number / 100 * (high - low)


class FeasibleRegion:
    """The networks of a space that satisfy all constraints.

    Raises:
        InputError: no network satisfies one of them, or none was found that satisfies all.
    """

    def __init__(self, space: SearchSpace, constraints: Sequence[Constraint] = ()) -> None:
        self.space = space
        self.constraints = tuple(constraints)
        for constraint in self.constraints:
            constraint.require_feasible()
        cheapest = space.encode([constraint.model.cheapest()[1] for constraint in self.constraints])
        self._anchors = cheapest[self.contains(cheapest)]
        if self.constraints and not len(self._anchors):
            self._anchors = self._find_anchor()

    @property
    def bounds(self) -> dict[str, float]:
        """The highest costs allowed, by metric."""
        return {constraint.metric: constraint.bound for constraint in self.constraints}

    def to_json(self) -> dict[str, Any]:
        """Return what the region is told apart by from others of its space: the bounds and their margins."""
        return {c.metric: {"bound": c.bound, "margin": c.model.margin} for c in self.constraints}

    def contains(self, population: Population) -> NDArray[np.bool_]:
        """Return (N,): whether each row satisfies every constraint."""
        inside = np.ones(len(population), bool)
        for constraint in self.constraints:
            inside &= constraint.satisfied(population)
        return inside

    def violations(self, population: Population) -> NDArray[np.float64]:
        """Return (N,): the summed violation of all constraints, 0 for networks of the region."""
        return violations(self.constraints, population)

    def new(self, population: Population, known: Container[bytes]) -> Population:
        """Return the distinct networks of the region among some (N, choices), in canonical form, without known ones."""
        rows = self.space.canonical(population[self.contains(population)])
        return rows[distinct(rows, known)]

    def unseen(self, known: Container[bytes], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Yield random networks of the region, (choices,), in canonical form, that are not known as their turn comes.

        Of few combinations of options these are all; of more, it ends once many that are drawn are known.
        """
        draws = (self.sample(_DRAWN, rng) for _ in itertools.count())
        if (n := math.prod(self.space.n_options.tolist())) <= _ENUMERATED:
            strides = np.cumprod([1, *self.space.n_options[:-1]])
            draws = (rows for rows in [rng.permutation(np.arange(n)[:, None] // strides % self.space.n_options)])
        yielded: set[bytes] = set()
        for drawn in draws:
            new = [row for row in self.new(drawn, known) if row.tobytes() not in yielded]
            if not new:
                return
            for row in new:
                if row.tobytes() not in known:
                    yielded.add(row.tobytes())
                    yield row

    def origin(self, rng: np.random.Generator) -> Population:
        """Return where growth begins, (1, choices): the smallest network; where bounds leave it out, a random one."""
        smallest = self.space.canonical(self.space.encode([self.space.smallest()]))
        return smallest if self.contains(smallest).all() else self.sample(1, rng)

    def sample(self, n: int, rng: np.random.Generator) -> Population:
        """Return (n, choices): uniform where the region is not rare, else n random walks from networks known in it.

        A walk takes the steps that stay in the region (Metropolis et al., 1953): its limit is uniform, too. It always
        ends; a region of fewer than n networks gives some of them twice.
        """
        pool = self._rejection_sample(n, rng)
        if len(pool) >= n:
            return pool[:n]
        pool = rng.choice(np.concatenate([pool, self._anchors]), n)
        n_choices = len(self.space.choices)
        for _ in range(_WALKING_SWEEPS * n_choices):
            steps = self.space.mutate(pool, 1 / n_choices, rng)
            pool = np.where(self.contains(steps)[:, None], steps, pool)
        return pool

    def breed(self, n: int, children: Callable[[int], Population], rng: np.random.Generator) -> Population:
        """Return n networks of the region out of what `children`, given a number, returns so many of.

        What a bounded number of attempts does not give is sampled.
        """
        bred = children(n)
        bred = bred[self.contains(bred)]
        for _ in range(_BREEDING_ROUNDS):
            if len(bred) >= n:
                return bred[:n]
            brood = children(2 * (n - len(bred)))
            bred = np.concatenate([bred, brood[self.contains(brood)]])
        return np.concatenate([bred[:n], self.sample(max(0, n - len(bred)), rng)])

    def _find_anchor(self) -> Population:
        """Return a network that keeps all constraints, (1, choices)."""
        found, is_infeasible = nearest(self.space, self.constraints, np.random.default_rng(0))
        if not self.contains(found).all():
            costs = " and ".join(f"{c.metric} {c.cost(found)[0]:.4g}" for c in self.constraints)
            known = "no network keeps" if is_infeasible else "no network was found that keeps"
            raise InputError(
                f"each bound can be kept, but {known} {in_words(self.bounds)}: the nearest found, "
                f"{self.space.decode(found)[0].id}, has {costs}, margins included; raise a bound to at least that"
            )
        return found

    def _rejection_sample(self, n: int, rng: np.random.Generator) -> Population:
        found = self.space.sample(0, rng)
        for _ in range(_SAMPLING_ROUNDS):
            drawn = self.space.sample(max(4 * n, 1024), rng)
            found = np.concatenate([found, drawn[self.contains(drawn)]])
            if len(found) >= n:
                break
        return found


def identity(region: FeasibleRegion, objectives: Sequence[Objective], seed: int) -> dict[str, Any]:
    """Return what a search is told apart by from others, as JSON."""
    return {
        "space": region.space.to_json(),
        "seed": seed,
        "objectives": {str(i): objective.to_json() for i, objective in enumerate(objectives, 1)},
        "bounds": region.to_json(),
    }
