"""The contract of search strategies: they propose populations and are told scores, and see nothing else."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas.constraint import Constraint
from nas.objectives import FeasibleRegion, Objective, identity
from nas.pareto import Scores
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population

if TYPE_CHECKING:
    from nas.evaluation.shared_weights import SharedWeights


class Strategy(ABC):
    """Proposes networks and learns from their scores.

    A subclass is a dataclass of its options; what a search gives it arrives by `begin`. It draws random numbers from
    `rng` alone, so that the same seed and the same scores give the same proposals.

    Attributes:
        multi_objective: whether it serves several objectives at once.
        searches_weights: whether it works on shared weights themselves, which `use` then gives it.
        looks_at_networks: whether it asks what networks consist of, rather than which options they have.
        learns: whether what it proposes depends on what it is told, so that it may be asked again after it had no more.
        asynchronous: whether it may be asked again before it is told of what it asked for.
        for_dear_evaluations: whether it works long on each proposal, so that some thousand evaluations are its most.
        weights: the supernet and the data, if `use` gave them; neither is changed.
        region: the networks that may be proposed.
        objectives: what is to be raised or lowered; a column of the scores each.
        rng: the only source of randomness.
        search: what the search is told apart by from others that keep something in one place.
    """

    multi_objective: ClassVar[bool] = False
    searches_weights: ClassVar[bool] = False
    looks_at_networks: ClassVar[bool] = False
    learns: ClassVar[bool] = True
    asynchronous: ClassVar[bool] = False
    for_dear_evaluations: ClassVar[bool] = False

    weights: "SharedWeights | None" = None
    region: FeasibleRegion
    objectives: tuple[Objective, ...]
    rng: np.random.Generator
    search: Mapping[str, Any]

    @classmethod
    def lacks(cls, space: SearchSpace) -> str | None:
        """Return what a space lacks to be searched by this strategy, in the plural; None if it can be."""
        needed = cls.searches_weights or cls.looks_at_networks
        return "networks to build" if needed and not _has_networks(space) else None

    def require_bounds(self, constraints: Sequence[Constraint]) -> None:  # noqa: B027  # most keep bounds of any kind
        """Raise unless bounds on predicted costs are of a kind that this strategy keeps.

        Raises:
            InputError: names the cost, and what would do.
        """

    def use(
        self,
        weights: "SharedWeights",
        directory: Path | None,
        belongs_to: Mapping[str, Any],
        *,
        progress: bool = True,
    ) -> None:
        """Take the shared weights that are searched, before the search begins; most learn from scores alone.

        Args:
            weights: the supernet and the data.
            directory: for what a search that was killed goes on from; None: it would begin anew.
            belongs_to: says which weights and costs these are.
            progress: whether to show a bar of what is done with the weights.
        """
        self.weights, self._directory, self._belongs_to, self._progress = weights, directory, belongs_to, progress

    def to_json(self) -> dict[str, Any]:
        """Return what a search by it is told apart by: its name and its options."""
        options: dict[str, Any] = dataclasses.asdict(self) if dataclasses.is_dataclass(self) else {}
        return {"name": type(self).__module__.rpartition(".")[2], "options": options}

    def begin(
        self,
        region: FeasibleRegion,
        objectives: Sequence[Objective],
        seed: int,
        belongs_to: Mapping[str, Any] | None = None,
    ) -> None:
        """Start anew on a region of a space.

        Args:
            region: the networks that may be proposed.
            objectives: what is to be raised or lowered.
            seed: of the random numbers.
            belongs_to: what the search is recorded under; None: the region, the objectives and the seed alone.
        """
        assert len(objectives) == 1 or self.multi_objective, "a search refuses that before it begins"
        self.region = region
        self.objectives = tuple(objectives)
        self.rng = np.random.default_rng(seed)
        self.search = identity(region, objectives, seed) if belongs_to is None else belongs_to
        self.require_bounds(region.constraints)
        self._begin()

    def ask(self) -> Population:
        """Return the next networks to evaluate, canonical and feasible, (N, choices); none when there are no more."""
        return self.region.space.canonical(self._ask())

    def tell(self, population: Population, scores: Scores, violations: NDArray[np.float64] | None = None) -> None:
        """Take note of evaluations.

        Args:
            population: networks that were asked for, all of them or some, or canonical networks of the region that a
                search begins with instead, (N, choices).
            scores: (N, objectives), higher is better; a row that is not finite is an evaluation that failed, and
                counts as the worst in every objective, and as further beyond the limits than any other.
            violations: (N,), by how much limits on metrics are exceeded, 0 where they are kept. None: there are none.
        """
        failed = np.asarray(~np.isfinite(scores).all(axis=1))
        violations = np.zeros(len(scores)) if violations is None else violations
        self._tell(
            population,
            np.where(failed[:, None], -np.inf, scores),
            np.where(np.isfinite(violations) & ~failed, violations, np.inf),
        )

    def _begin(self) -> None:  # noqa: B027  # a strategy without state has nothing to set up
        """Set up the state; the region, the objectives and the random numbers are there."""

    @abstractmethod
    def _ask(self) -> Population: ...

    @abstractmethod
    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        """Take note of scores (N, objectives) and violations (N,) from 0 to inf.

        A row of scores is finite, or -inf throughout with an infinite violation: that network failed.
        """


def _has_networks(space: SearchSpace) -> bool:
    """Tell whether there are networks behind a space's choices; behind those of a table there are results alone."""
    try:
        space.plan(space.decode(np.zeros((1, len(space.choices)), np.int64))[0])
    except InputError:
        return False
    return True


def best_first(scores: Scores, violations: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the order by the only score, those that keep the limits before those that do not, earlier ones first.

    Args:
        scores: (N, 1), higher is better.
        violations: (N,), 0 where the limits are kept and infinite of networks that failed, so that these are last.
    """
    return np.lexsort((-scores[:, 0], violations))


class Proposed(Strategy):
    """Proposes given networks (N, choices), once: chosen elsewhere, to be evaluated like the rest."""

    multi_objective = True
    learns = False
    asynchronous = True

    def __init__(self, population: Population) -> None:
        self._waiting = population

    def _ask(self) -> Population:
        asked, self._waiting = self._waiting, self._waiting[:0]
        return asked

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        pass
