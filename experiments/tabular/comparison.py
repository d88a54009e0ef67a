"""What strategies reached on the same problems: means over seeds, their spread, ranks over problems."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from experiments.tabular.protocol import BUDGETS, Floats, Problem
from experiments.tabular.runs import Found, Run

CURVE = tuple(sorted({10, 20, 30, 70, 140, 280, *BUDGETS}))
"""The budgets of curves; those of tables are among them."""


class Comparison:
    """The figures of all runs on problems of one kind, fronts or limits.

    Args:
        problems: all fronts, or all under limits.
        found: what runs evaluated, those of other problems among them.

    Attributes:
        problems: as given, of one table.
        n_rows: architectures that the table has; no budget above that can be spent.
        figures: names, the one that strategies are ranked by first.
        strategies: names, the best first by the mean of that figure over all budgets of `BUDGETS`.
        seconds: the median processor time of a search, by strategy.
    """

    def __init__(self, problems: Sequence[Problem], found: Mapping[Run, Found]) -> None:
        self.problems = tuple(problems)
        self.n_rows = len(problems[0].table.rows)
        self.figures = ("short", "optimum") if problems[0].limit else ("region", "table", "short", "optimum")
        asked = {(p.accuracy, p.latency, p.limit): p for p in problems}
        runs: dict[str, dict[Problem, list[Found]]] = {}
        for run in sorted(found, key=lambda run: run.seed):
            if problem := asked.get((run.accuracy, run.latency, run.limit)):
                runs.setdefault(run.strategy, {}).setdefault(problem, []).append(found[run])
        self._values = {name: self._of_runs(of_problems) for name, of_problems in runs.items()}
        self.seconds = {
            name: float(np.median([one.seconds for many in of_problems.values() for one in many]))
            for name, of_problems in runs.items()
        }
        leading = {name: np.mean([self.mean(name, self.figures[0], b) for b in BUDGETS]) for name in runs}
        sign = 1 if self.figures[0] == "short" else -1
        self.strategies = tuple(sorted(runs, key=lambda name: sign * leading[name]))

    def _of_runs(self, of_problems: Mapping[Problem, Sequence[Found]]) -> dict[str, Floats]:
        """Return the values (problems, seeds, budgets of `CURVE`) of each figure."""
        values = [
            [[problem.figures(one.places[:budget]) for budget in CURVE] for one in of_problems[problem]]
            for problem in self.problems
        ]
        return {
            figure: np.array([[[at[figure] for at in run] for run in runs] for runs in values])
            for figure in self.figures
        }

    def values(self, strategy: str, figure: str) -> Floats:
        """Return a figure of all runs of a strategy, (problems, seeds, budgets of `CURVE`)."""
        return self._values[strategy][figure]

    def n_seeds(self, strategy: str) -> int:
        """Return how many runs a strategy had on each problem."""
        return len(self.values(strategy, self.figures[0])[0])

    def mean(self, strategy: str, figure: str, budget: int) -> float:
        """Return the mean over problems and seeds."""
        return float(self.values(strategy, figure)[:, :, CURVE.index(budget)].mean())

    def spread(self, strategy: str, figure: str, budget: int) -> float:
        """Return the standard deviation over the seeds of a problem, root mean square over problems."""
        return float(np.sqrt(self.values(strategy, figure)[:, :, CURVE.index(budget)].var(axis=1).mean()))

    def rank(self, strategy: str, budget: int) -> float:
        """Return the mean over problems of the place among strategies, 1 the best, by the mean over seeds."""
        means = [self.values(name, self.figures[0])[:, :, CURVE.index(budget)].mean(axis=1) for name in self.strategies]
        sign = 1 if self.figures[0] == "short" else -1
        ranks = rankdata(sign * np.round(means, 9), axis=0)
        return float(ranks[self.strategies.index(strategy)].mean())
