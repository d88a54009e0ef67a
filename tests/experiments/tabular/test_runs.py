"""A comparison that was stopped goes on to the same result, and takes nobody else's for its own."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from experiments.tabular.comparison import CURVE, Comparison
from experiments.tabular.nasbench201 import RESULTS, nasbench201_in
from experiments.tabular.protocol import BUDGETS, Problem
from experiments.tabular.report import write_report
from experiments.tabular.runs import Found, Run, search_all
from experiments.tabular.table import read_table
from search_spaces import InputError

RUNS = [
    Run(name, "c10_test_e200", "phone", limit, seed)
    for name in ("random_search", "regularized_evolution")
    for limit in (None, 0.5)
    for seed in range(2)
]


@pytest.fixture(scope="module")
def searches(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Run, Found]]:
    """Everything, in two goes; the first was killed while it wrote."""
    output = tmp_path_factory.mktemp("searches")
    search_all(RUNS[:6], nasbench201_in(folder), output, 1)
    journal = output / "random_search.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    return output, search_all(RUNS, nasbench201_in(folder), output, 2)


def test_what_was_stopped_goes_on_to_the_same_searches(searches: tuple[Path, dict[Run, Found]], folder: Path) -> None:
    output, found = searches
    table = read_table(nasbench201_in(folder), ["c10_test_e200", "phone"])
    assert list(found) == RUNS
    for run in (RUNS[3], RUNS[7]):
        from nas import strategies

        problem = Problem(table, run.accuracy, run.latency, run.limit)
        assert found[run].places.tolist() == problem.search(strategies.load(run.strategy), run.seed).tolist()
    lines = (output / "random_search.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 4
    again = search_all(RUNS, nasbench201_in(folder), output, 1)
    assert all(again[run].places.tolist() == found[run].places.tolist() for run in RUNS)
    assert (output / "random_search.jsonl").read_text().splitlines() == lines


def test_searches_of_other_data_are_refused(
    searches: tuple[Path, dict[Run, Found]], folder: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / RESULTS).write_bytes((folder / RESULTS).read_bytes() + b" ")
    with pytest.raises(InputError, match=r"is of a file .* of other content: use the same"):
        search_all(RUNS, nasbench201_in(other), searches[0], 1)
    alone = dataclasses.replace(nasbench201_in(folder), files=nasbench201_in(folder).files[:1])
    told = r"is of nasbench201\.parquet and nasbench201_latency\.parquet, not of nasbench201\.parquet: use the same"
    with pytest.raises(InputError, match=told):
        search_all(RUNS, alone, searches[0], 1)


def test_the_report_ranks_and_draws(searches: tuple[Path, dict[Run, Found]], folder: Path, tmp_path: Path) -> None:
    table = read_table(nasbench201_in(folder), ["c10_test_e200", "phone"])
    fronts, limited = (
        Comparison([Problem(table, "c10_test_e200", "phone", limit)], searches[1]) for limit in (None, 0.5)
    )
    for comparison in (fronts, limited):
        assert comparison.values("random_search", "short").shape == (1, 2, len(CURVE))
        for budget in BUDGETS:
            assert sum(comparison.rank(name, budget) for name in comparison.strategies) == 3
    best, other = fronts.strategies
    means = [sum(fronts.mean(name, "region", budget) for budget in BUDGETS) for name in (best, other)]
    assert means[0] >= means[1]
    summary = write_report(tmp_path, "tables", fronts, limited)
    assert summary in (tmp_path / "report.md").read_text()
    n_lines = 2 * len(CURVE) * (len(fronts.figures) + len(limited.figures))
    assert len((tmp_path / "figures.csv").read_text().splitlines()) == 1 + n_lines
    assert {path.name for path in tmp_path.glob("*.png")} == {"fronts.png", "limits.png"}
    fronts.n_rows = limited.n_rows = 7  # as of a table that no budget fits
    assert "has 7 architectures, too few for 50, 100, 200, 400" in write_report(tmp_path, "tables", fronts, limited)
    assert len((tmp_path / "figures.csv").read_text().splitlines()) == 1
