"""What a search may bound or lower, by metric: latencies on its devices, what else is known of these, and counts."""

from collections.abc import Collection, Mapping

from latency_predictors.analytic.counts import COUNTS, count_models, require_countable
from latency_predictors.cost_model import CostModel
from latency_predictors.latency_model import LatencyModel
from latency_predictors.saved_models import KINDS
from nas.constraint import Constraint
from nas.objectives import FeasibleRegion, parse_budget
from search_spaces import SearchSpace
from search_spaces.errors import InputError, unknown

LATENCY = "latency_ms"
"""The latency on the first device, that of `--table`."""


def cost_models(
    models: Mapping[str, LatencyModel], space: SearchSpace, wanted: Collection[str] = ()
) -> dict[str, CostModel]:
    """Return all that latency models know of what a space's networks cost, by metric, and counts if any is wanted.

    Args:
        models: by the metrics of their latencies.
        space: the space.
        wanted: metrics.

    Raises:
        InputError: nothing is known of this space.
    """
    known: dict[str, CostModel] = {}
    for model in models.values():
        known |= model.cost_models(space)
    return known | (count_models(space) if not known.keys() >= {*wanted} else {})


def feasible_region(
    models: Mapping[str, LatencyModel], space: SearchSpace, budgets: Mapping[str, str]
) -> FeasibleRegion:
    """Return the networks that keep all budgets.

    Args:
        models: by the metrics of their latencies.
        space: the space.
        budgets: by metric, as `parse_budget` takes them.

    Raises:
        InputError: there are no such networks, or a model is not of this space.
    """
    costs = cost_models(models, space, budgets)
    bounds = {metric: parse_budget(text, costs[metric]) for metric, text in budgets.items()}
    return FeasibleRegion(space, [Constraint(costs[metric], bound, metric) for metric, bound in bounds.items()])


def require_known(
    bounded: Collection[str],
    lowered: Collection[str],
    kinds: Mapping[str, type[LatencyModel]],
    space: SearchSpace,
) -> None:
    """Raise unless all that is to be bounded or lowered will be known, before anything is trained or written.

    Args:
        bounded: metrics with a bound beside the budget.
        lowered: metrics to be lowered.
        kinds: of the latency models, by the metrics of their latencies.
        space: whose networks are counted.

    Raises:
        InputError: names the metric that is unknown, of which only a lower bound is known, or that is bounded already.
    """
    known = [*(metric for kind in kinds.values() for metric in kind.metrics), *COUNTS]
    if LATENCY in bounded:
        raise InputError(f"bounds {LATENCY}: that is what the budget bounds; leave it out")
    for option, metrics in (("bounds", bounded), ("search.costs", lowered)):
        for metric in metrics:
            if metric not in known:
                raise _unknown(option, metric, known)
            require_countable(metric, space)


def _unknown(option: str, metric: str, known: Collection[str]) -> InputError:
    if any(metric in kind.metrics for kind in KINDS):
        return InputError(
            f"{option} {metric}: nothing measured here tells it, and the latency model knows {LATENCY} alone; give "
            "--table a roofline device, or leave it out"
        )
    return unknown(f"metric in {option}", metric, known)
