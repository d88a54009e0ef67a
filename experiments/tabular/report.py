"""The report of a comparison: tables in Markdown and CSV, curves with their spread as PNG."""

import csv
from collections.abc import Iterator, Sequence
from io import BytesIO, StringIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report import markdown_table, write_text
from experiments.tabular.comparison import CURVE, Comparison
from experiments.tabular.protocol import BUDGETS, LIMITS, Floats
from search_spaces.storage import write_atomic

_MEANINGS = {
    "region": "share of the exact hypervolume, region of interest",
    "table": "share of the exact hypervolume, whole table",
    "short": "accuracy points short of the optimum under a latency limit",
    "optimum": "share of runs that hold the optimum under a latency limit",
}
_NOTHING = "–"
_SHOWN = 100
"""The budget of tables that have room for one."""


def write_report(folder: Path, benchmark: str, fronts: Comparison, limited: Comparison) -> str:
    """Write `report.md`, `figures.csv` and the pictures; return the summary, which is its first table.

    Args:
        folder: of these files.
        benchmark: its name, for the title.
        fronts: what was reached in searches for fronts.
        limited: what was reached under limits.
    """
    summary = summarised(fronts, limited)
    limits = ", ".join(f"{limit:.0%}" for limit in LIMITS)
    parts = [
        f"# Search strategies compared on {benchmark}\n",
        f"Budgets are distinct architectures evaluated. {len(fronts.problems)} fronts of accuracy and latency; "
        f"{len(limited.problems)} searches for the best accuracy under a limit, at {limits} of the latencies, which "
        "are known once evaluated. Strategies of one objective take part in these only. Means over problems and seeds; "
        "in parentheses the standard deviation of a problem's runs.\n",
        summary,
    ]
    for title, name, comparison in (
        ("Fronts of accuracy and latency", "fronts", fronts),
        ("The best accuracy under a latency limit", "limits", limited),
    ):
        _draw_curves(folder / f"{name}.png", comparison)
        parts += [f"## {title}\n", f"![{title}]({name}.png)\n", *_sections(comparison)]
    write_text(folder / "report.md", "\n".join(parts))
    write_text(folder / "figures.csv", _csv([fronts, limited]))
    return summary


def summarised(fronts: Comparison, limited: Comparison) -> str:
    """Return a line a strategy.

    Of fronts: the share in the region of interest at every budget, the rank by it and the points short of the optimum
    under limits, both at 100. Of searches under limits: the points short and the rank at 100, the share of optima at
    the end. A dash and a line below stand for what a table is too small for.
    """
    headings = ["strategy", "seeds", *(f"share at {budget}" for budget in BUDGETS), "rank", "short, front"]
    headings += ["short, limit", "optimum", "rank"]
    rows = []
    for name in [*fronts.strategies, *(name for name in limited.strategies if name not in fronts.strategies)]:
        of_front = [_NOTHING] * (len(BUDGETS) + 2)
        if name in fronts.strategies:
            of_front = [_told(fronts, budget, f"{fronts.mean(name, 'region', budget):.3f}") for budget in BUDGETS]
            shown = f"{fronts.rank(name, _SHOWN):.1f}", f"{fronts.mean(name, 'short', _SHOWN):.2f}"
            of_front += [_told(fronts, _SHOWN, text) for text in shown]
        of_limit = [
            _told(limited, _SHOWN, f"{limited.mean(name, 'short', _SHOWN):.2f}"),
            _told(limited, max(BUDGETS), f"{limited.mean(name, 'optimum', max(BUDGETS)):.0%}"),
            _told(limited, _SHOWN, f"{limited.rank(name, _SHOWN):.1f}"),
        ]
        rows.append([f"`{name}`", str(limited.n_seeds(name)), *of_front, *of_limit])
    too_many = [str(budget) for budget in BUDGETS if budget > limited.n_rows]
    why = f"\nThe table has {limited.n_rows} architectures, too few for {', '.join(too_many)} evaluations.\n"
    return markdown_table(headings, rows) + (why if too_many else "")


def _told(comparison: Comparison, budget: int, figure: str) -> str:
    """Return a figure at a budget, or a dash if the table has fewer architectures."""
    return figure if budget <= comparison.n_rows else _NOTHING


def _sections(comparison: Comparison) -> list[str]:
    """Return a table for each figure, ranks and times, and the leading figure problem by problem."""
    parts = []
    for figure in comparison.figures:
        rows = [
            [f"`{name}`", str(comparison.n_seeds(name)), *(_with_spread(comparison, name, figure, b) for b in BUDGETS)]
            for name in comparison.strategies
        ]
        headings = ["strategy", "seeds", *map(str, BUDGETS)]
        parts += [f"### {_capital(_MEANINGS[figure])}\n", markdown_table(headings, rows)]
    rows = [
        [
            f"`{name}`",
            *(_told(comparison, budget, f"{comparison.rank(name, budget):.1f}") for budget in BUDGETS),
            f"{comparison.seconds[name]:.2f}",
        ]
        for name in comparison.strategies
    ]
    headings = ["strategy", *map(str, BUDGETS), "seconds of one processor a search"]
    parts += ["### Mean rank over problems, and time\n", markdown_table(headings, rows)]
    leading, at = comparison.figures[0], CURVE.index(_SHOWN)
    values = [comparison.values(name, leading) for name in comparison.strategies]
    rows = [
        [problem.name, *(_told(comparison, _SHOWN, f"{runs[i, :, at].mean():.3f}") for runs in values)]
        for i, problem in enumerate(comparison.problems)
    ]
    title = f"### Problem by problem, {_SHOWN} evaluations: {_MEANINGS[leading]}\n"
    return [*parts, title, markdown_table(["problem", *(f"`{s}`" for s in comparison.strategies)], rows)]


def _with_spread(comparison: Comparison, name: str, figure: str, budget: int) -> str:
    mean, spread = comparison.mean(name, figure, budget), comparison.spread(name, figure, budget)
    return _told(comparison, budget, f"{mean:.3f} ({spread:.3f})" if comparison.n_seeds(name) > 1 else f"{mean:.3f}")


def _csv(comparisons: Sequence[Comparison]) -> str:
    """Return one line a strategy, problem, figure and budget."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["strategy", "problem", "figure", "budget", "seeds", "mean", "std", "q25", "median", "q75"])
    for comparison in comparisons:
        for name in comparison.strategies:
            for figure in comparison.figures:
                curve = [(at, budget) for at, budget in enumerate(CURVE) if budget <= comparison.n_rows]
                for (i, problem), (at, budget) in product(enumerate(comparison.problems), curve):
                    runs = comparison.values(name, figure)[i, :, at]
                    numbers = [runs.mean(), runs.std(), *np.quantile(runs, [0.25, 0.5, 0.75])]
                    described = [name, problem.name, figure, budget, len(runs)]
                    writer.writerow([*described, *(f"{number:.6g}" for number in numbers)])
    return text.getvalue()


def _draw_curves(path: Path, comparison: Comparison) -> None:
    """Write a picture of the leading figure by budget: over all problems, then problem by problem with quartiles."""
    n_columns = 4
    n_rows = -(-len(comparison.problems) // n_columns)
    figure = Figure(figsize=(4 * n_columns, 6 + 2.6 * n_rows), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[6, 2.6 * n_rows]).flat
    axes = above.subplots()
    leading, n_budgets = comparison.figures[0], sum(budget <= comparison.n_rows for budget in CURVE)
    for name, style in zip(comparison.strategies, _styles(), strict=False):
        runs = comparison.values(name, leading)[:, :, :n_budgets]
        _draw(axes, runs.mean(axis=(0, 1)), np.sqrt(runs.var(axis=1).mean(axis=0)) * [[-1], [1]], style, name)
    axes.set(ylabel=_MEANINGS[leading], title="all problems: mean and standard deviation of a problem's runs")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    for i, (problem, panel) in enumerate(
        zip(comparison.problems, below.subplots(n_rows, n_columns, sharex=True, squeeze=False).flat, strict=False)
    ):
        panel.set_title(f"{problem.name}: median and quartiles", fontsize="small")
        for name, style in zip(comparison.strategies, _styles(), strict=False):
            runs = comparison.values(name, leading)[i, :, :n_budgets]
            median = np.median(runs, axis=0)
            _draw(panel, median, np.quantile(runs, [0.25, 0.75], axis=0) - median, style, name)
    image = BytesIO()
    figure.savefig(image, format="png", dpi=110)
    write_atomic(path, lambda temporary: temporary.write_bytes(image.getvalue()))


def _styles() -> Iterator[dict[str, Any]]:
    for line in ("-", "--", ":"):
        yield from ({"color": f"C{i}", "linestyle": line} for i in range(10))


def _draw(axes: Axes, middle: Floats, band: Floats, style: dict[str, Any], label: str) -> None:
    """Draw a curve over the first budgets of `CURVE` with a band (2, budgets) of differences around it."""
    budgets = CURVE[: len(middle)]
    axes.plot(budgets, middle, label=label, **style)
    axes.fill_between(budgets, *(middle + band), color=style["color"], alpha=0.12, linewidth=0)
    axes.set(xscale="log", xlim=(CURVE[0], CURVE[-1]), xlabel="architectures evaluated")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
