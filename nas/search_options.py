"""How a search spends its evaluations, and on which strategy: what a user may say of it."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas import strategies
from nas.config import require_unsaid
from nas.evaluation.scores import METRICS
from nas.evaluation.zero_cost import require_known
from nas.objectives import Objective
from nas.strategy import Strategy
from search_spaces.errors import InputError, unknown

_FOR_THE_BEST = {"predictor": "ofa_evolution", "shared_weights": "predictor_guided", "zero_cost": "ofa_evolution"}
"""The strategy of a search that names none: of those measured, the one that finds most in so many evaluations."""

_FOR_THE_FRONT = _FOR_THE_BEST | {"predictor": "nsga2", "zero_cost": "nsga2"}

_ON_WEIGHTS = "--search.evaluator shared_weights"

_WARM_DRAWN, _WARM_KEPT = 200, 20


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class StrategyOptions:
    """A search strategy by name, and its options."""

    name: str | None = Field(
        default=None,
        description="search strategy: a file of nas/strategies; unset: ofa_evolution, for a front nsga2, and "
        "predictor_guided on shared weights, where an evaluation is dear",
    )
    options: Mapping[str, Any] = Field(default_factory=dict, description="of the strategy, such as population=50")

    def __post_init__(self) -> None:
        if self.name is not None:
            strategies.load(self.name, **self.options)  # refused now rather than after training


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WarmStart:
    """The best of random networks by a zero-cost proxy are evaluated before all others."""

    proxy: str | None = Field(
        default=None, description="zero-cost proxy, such as naswot, synflow, zico or macs; unset: none, no warm start"
    )
    n_drawn: int = Field(default=_WARM_DRAWN, ge=1, description="random networks that the proxy is asked about")
    n_kept: int = Field(default=_WARM_KEPT, ge=1, description="its best, evaluated first")

    def __post_init__(self) -> None:
        if self.proxy is not None:
            require_known(self.proxy)
        elif (self.n_drawn, self.n_kept) != (_WARM_DRAWN, _WARM_KEPT):
            raise InputError("a warm start draws and keeps networks by a proxy: name one, or leave the numbers out")
        if self.n_kept > self.n_drawn:
            raise InputError(f"a warm start keeps {self.n_kept} of {self.n_drawn} networks drawn: draw more")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SearchOptions:
    """How a search spends its evaluations."""

    evaluator: Literal["predictor", "shared_weights", "zero_cost"] = Field(
        default="predictor",
        description="what the strategy asks: a predictor fitted first, shared weights each time, or a zero-cost proxy",
    )
    proxy: str = Field(default="naswot", description="with evaluator zero_cost: which proxy, as for a warm start")
    warm_start: WarmStart = WarmStart()
    metric: str | None = Field(
        default=None,
        description="of the validation examples; unset: the first that the data are scored by, as accuracy; "
        "cross_entropy where examples are few and accuracies equal",
    )
    costs: tuple[str, ...] = Field(
        default=(),
        description="lowered beside the metric, so that the front of all is searched for, not the best: latency_ms, "
        "macs, n_parameters, peak_activation_bytes; energy_mj where the latency model knows it, as a roofline device "
        "does; phone_latency_ms of a further device",
    )
    n_front: int = Field(default=8, ge=1, description="with costs: networks along the front that are measured")
    strategy: StrategyOptions = StrategyOptions()
    n_evaluated: int = Field(default=200, ge=10, description="networks evaluated, on shared weights or by the proxy")
    n_predicted: int = Field(
        default=50_000, ge=1, description="with a predictor: networks it is asked about, if the region has so many"
    )
    n_candidates: int = Field(
        default=20, ge=1, description="with a predictor or a proxy: its best, evaluated on shared weights"
    )
    n_validation: int | None = Field(default=None, ge=1, description="validation examples an evaluation; unset: all")
    n_statistics: int | None = Field(
        default=None, ge=64, description="training examples for batch-norm statistics; unset: 1024, of scenes 64"
    )
    ahead: int = Field(
        default=0,
        ge=0,
        description="asks by which the strategy is ahead of what it was told, so that no worker waits for the last of "
        "each; the outcome depends on it, not on the workers",
    )
    seed: int = Field(default=0, ge=0, description="of the networks and the strategy")

    def __post_init__(self) -> None:
        require_known(self.proxy)
        if self.metric is not None and self.metric not in METRICS:
            raise unknown("metric", self.metric, METRICS)
        self._require_heeded()
        if self.warm_start.proxy is not None and self.warm_start.n_kept >= self.n_evaluated:
            raise InputError(
                f"a warm start that keeps {self.warm_start.n_kept} networks leaves none of {self.n_evaluated} "
                "evaluations to others: keep fewer, by --search.warm-start.n-kept, or say a higher "
                "--search.n-evaluated"
            )
        strategy, name = self.load_strategy(), self.strategy_name
        if self.costs:
            strategies.require_serves(strategy, [Objective(one) for one in (self.metric or "the metric", *self.costs)])
        if strategy.searches_weights and self.evaluator != "shared_weights":
            raise InputError(f"strategy {name} searches shared weights, nothing else: say {_ON_WEIGHTS}")
        if strategy.for_dear_evaluations and self.evaluator == "predictor":
            raise InputError(
                f"strategy {name} would not end on {self.n_predicted} predictions: it is for few, dear "
                f"evaluations; say {_ON_WEIGHTS}"
            )
        if self.ahead:
            strategies.require_asynchronous(strategy)

    def _require_heeded(self) -> None:
        """Raise if an option says anything that does nothing beside the others."""
        predicted, by_proxy = self.evaluator == "predictor", self.evaluator == "zero_cost"
        for name, is_heeded, wanted in (
            ("proxy", by_proxy, "--search.evaluator zero_cost"),
            ("n_predicted", predicted, "--search.evaluator predictor"),
            ("n_candidates", predicted or by_proxy, "--search.evaluator predictor or zero_cost"),
            ("n_front", bool(self.costs), "--search.costs"),
        ):
            if not is_heeded:
                require_unsaid(self, [name], wanted, of=("search",))

    def load_strategy(self) -> Strategy:
        """Return the strategy that was named, or the evaluator's.

        Raises:
            InputError: it has no such options.
        """
        return strategies.load(self.strategy_name, **self.strategy.options)

    @property
    def strategy_name(self) -> str:
        """That of the strategy that was named, or the one for the evaluator and the number of objectives."""
        return self.strategy.name or (_FOR_THE_FRONT if self.costs else _FOR_THE_BEST)[self.evaluator]
