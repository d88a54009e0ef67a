"""Which networks are best by several scores at once: fronts, how crowded they are, and the volume that they dominate.

Scores are (N, M), one column an objective, higher is better in each. A row with NaN or an infinity is an evaluation
that failed: every other row dominates it, and it is in no front.
"""

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from search_spaces.plan_index import Population

Scores = NDArray[np.float64]
"""One row a network, one column an objective: (N, M), higher is better."""


def front(scores: Scores) -> NDArray[np.int64]:
    """Return the indices of the rows that none dominates, best by the first score first; the first among equals."""
    order = _best_first(scores)
    order = order[np.isfinite(scores[order]).all(axis=1)]
    ordered = scores[order]
    if scores.shape[1] <= 2:
        last = ordered[:, -1]
        return order[last > np.concatenate([[-np.inf], np.maximum.accumulate(last)[:-1]])[: len(last)]]
    kept, waiting = [], np.arange(len(ordered))
    while len(waiting):
        kept.append(waiting[0])
        waiting = waiting[(ordered[waiting] > ordered[waiting[0]]).any(axis=1)]
    return order[kept]


def nondominated_ranks(scores: Scores) -> NDArray[np.int64]:
    """Return (N,): 0 for the front, 1 for the front of what is left without it, and so on; equal rows rank equal.

    Takes O(N log N) for one or two objectives (Jensen, IEEE Transactions on Evolutionary Computation 2003), else some
    bits for each pair (Moreno et al., IEEE Transactions on Cybernetics 2022).
    """
    scores = np.where(np.isfinite(scores).all(axis=1, keepdims=True), scores, -np.inf)
    order = _best_first(scores)
    ordered = scores[order]
    is_new = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))[: len(ordered)]
    ranks_of = _ranks_by_bisection if scores.shape[1] <= 2 else _ranks_by_dominators
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = ranks_of(ordered[is_new])[is_new.cumsum() - 1]
    return ranks


def constrained_ranks(scores: Scores, violations: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return ranks (N,) by constrained domination (Deb et al., 2002).

    Rows without a violation (N,) are ranked by their scores; behind them come the others, by violation alone. That of
    an evaluation that failed is infinite, or it would rank before those that merely exceed a limit.
    """
    ranks = np.empty(len(scores), np.int64)
    kept = violations == 0
    ranks[kept] = nondominated_ranks(scores[kept])
    ranks[~kept] = np.unique(violations[~kept], return_inverse=True)[1] + ranks[kept].max(initial=-1) + 1
    return ranks


def crowding_distances(scores: Scores, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N,): how far the neighbours of each row are apart in its front, infinite at a front's ends (Deb, 2002).

    Each objective counts relative to its range in the front.
    """
    distances = np.zeros(len(scores))
    for column in scores.T:
        order = np.lexsort((column, ranks))
        value, rank = np.where(np.isfinite(column), column, 0.0)[order], ranks[order]
        first = np.flatnonzero(np.append(True, rank[1:] != rank[:-1])[: len(rank)])
        last = np.append(first[1:], len(rank))[: len(first)] - 1
        ranges = np.repeat(value[last] - value[first], last - first + 1)
        gaps = np.zeros(len(scores))
        gaps[1:-1] = value[2:] - value[:-2]
        gaps = np.divide(gaps, ranges, out=np.zeros_like(gaps), where=ranges > 0)
        gaps[first], gaps[last] = np.inf, np.inf
        distances[order] += gaps
    return distances


def best_spread(scores: Scores, violations: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the order of NSGA-II (Deb et al., 2002): by front, in each the least crowded first."""
    ranks = constrained_ranks(scores, violations)
    return np.lexsort((-crowding_distances(scores, ranks), ranks))


def hypervolume(scores: Scores, reference: NDArray[np.float64]) -> float:
    """Return the exact volume that the rows dominate above a reference point (M,), in the product of their units."""
    above = scores[np.isfinite(scores).all(axis=1)] - reference
    above = above[(above > 0).all(axis=1)]
    return _volume(above) if len(above) else 0.0


def hypervolume_share(scores: Scores, reference: NDArray[np.float64], ideal: NDArray[np.float64]) -> float:
    """Return `hypervolume` as a share of the box from the reference point (M,) to an ideal one (M,), which has no unit.

    0 where the box is empty; what is beyond the ideal in some objective counts as the ideal there.
    """
    extent = ideal - reference
    return hypervolume(np.minimum(scores, ideal), reference) / float(extent.prod()) if (extent > 0).all() else 0.0


class ParetoArchive:
    """The networks that none of all that were added dominates.

    Attributes:
        population: the networks, (n, choices), best by the first objective first.
        scores: theirs, (n, objectives).
    """

    def __init__(self, n_choices: int, n_objectives: int) -> None:
        self.population: Population = np.empty((0, n_choices), np.int64)
        self.scores: Scores = np.empty((0, n_objectives))

    def add(self, population: Population, scores: Scores) -> None:
        """Add networks (N, choices) with their scores (N, M); those that failed are left out."""
        population, scores = np.concatenate([self.population, population]), np.concatenate([self.scores, scores])
        kept = front(scores)
        self.population, self.scores = population[kept], scores[kept]


def _best_first(scores: Scores) -> NDArray[np.int64]:
    """Return the order by the first score, by the next among equals, and so on: no row dominates one before it."""
    return np.lexsort(-scores.T[::-1])


def _ranks_by_bisection(ordered: Scores) -> NDArray[np.int64]:
    """Return the ranks (n,) of distinct rows of one or two scores, best first.

    A front dominates a row exactly if its highest last score so far is not below the row's. Those highest ones fall
    from front to front, so that the first front that does not dominate the row is found by bisection.
    """
    highest: list[float] = []  # of each front, with the sign changed: ascending
    ranks: list[int] = []
    for value in (-ordered[:, -1]).tolist():
        rank = bisect_right(highest, value)
        if rank == len(highest):
            highest.append(value)
        else:
            highest[rank] = value
        ranks.append(rank)
    return np.array(ranks, np.int64)


def _ranks_by_dominators(ordered: Scores) -> NDArray[np.int64]:
    """Return the ranks (n,) of distinct rows, best first; which rows dominate each is a set of bits."""
    n = len(ordered)
    rows = np.arange(n)
    own = np.zeros((n, -(-n // 64)), np.uint64)
    own[rows, rows // 64] = np.uint64(1) << (rows % 64).astype(np.uint64)
    dominators = np.bitwise_or.accumulate(own)  # by the first score: all before it
    for column in -ordered.T[1:]:
        order = np.argsort(column, kind="stable")
        last_as_good = np.searchsorted(column[order], column, side="right") - 1
        dominators &= np.bitwise_or.accumulate(own[order])[last_as_good]
    dominators ^= own  # none dominates itself
    ranks, rank = np.zeros(n, np.int64), 0
    while len(rows):
        dominated = dominators.any(axis=1)
        ranks[rows[~dominated]] = rank
        ranked = np.bitwise_or.reduce(own[rows[~dominated]])
        rows, dominators, rank = rows[dominated], dominators[dominated] & ~ranked, rank + 1
    return ranks


def _volume(above: Scores) -> float:
    """Return the volume between the origin and what rows (n, M), all of them positive, dominate.

    Two objectives are swept once. Of more, each row adds the part of its box that is in no box of a row higher in the
    last objective: there these reach as far as the row, so that one objective less is left (WFG; While et al., IEEE
    Transactions on Evolutionary Computation 2012).
    """
    ordered = above[front(above)]
    if above.shape[1] == 1:
        return float(ordered.sum())  # the best row alone
    if above.shape[1] == 2:
        return float((ordered[:, 0] * np.diff(ordered[:, 1], prepend=0.0)).sum())
    ordered = ordered[np.argsort(ordered[:, -1], kind="stable")]
    volume = 0.0
    for i, (*box, height) in enumerate(ordered):
        covered = np.minimum(ordered[i + 1 :, :-1], box)
        volume += height * (np.prod(box) - _volume(covered))
    return float(volume)
