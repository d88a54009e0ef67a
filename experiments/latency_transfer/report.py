"""The report of predictions from a few measurements: a table a device, and one over all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.latency_transfer.protocol import FIGURES, METHODS, SAMPLES, Run
from experiments.report import markdown_table, write_text

Found = Mapping[Run, Mapping[str, float]]
Ceilings = Mapping[tuple[str, str], Mapping[str, float]]
"""Figures of a fit to the whole pool, and of noise, by space and device."""

_SHOWN = (10, 50)


def write_report(folder: Path, found: Found, ceilings: Ceilings) -> str:
    """Write `report.md`; return the summary, which is its first table."""
    summary = summarised(found, ceilings)
    parts = ["# Latencies of a new device from a few measurements\n", summary]
    for space, device in ceilings:
        parts += [f"## {device} on {space}\n", _section(space, device, found, ceilings[space, device])]
    write_text(folder / "report.md", "\n".join(parts))
    return summary


def summarised(found: Found, ceilings: Ceilings) -> str:
    """Return a line a space, device and method: rank trimmed at every k, then figures at ten."""
    headings = ["space", "device", "method", *(f"k = {k}" for k in SAMPLES), "worst tenth", "untrimmed"]
    headings += ["error", "within 10 %", "90 % interval", "pool", "noise"]
    rows = []
    for (space, device), ceiling in ceilings.items():
        for method in METHODS:
            at = {k: _values(found, space, device, method, k) for k in SAMPLES}
            if not any(at.values()):
                continue
            rows.append(
                [
                    *(space, f"`{device}`", method),
                    *(_shown(at[k], "trimmed") for k in SAMPLES),
                    _worst(at[10]),
                    *(_shown(at[10], "spearman"), _shown(at[10], "median error", percent=True)),
                    *(_shown(at[10], "within 10 %", percent=True), _shown(at[10], "coverage", percent=True)),
                    f"{ceiling['trimmed']:.3f}",
                    f"{ceiling['noise']:.3f}" if ceiling["noise"] else "–",
                ]
            )
    return markdown_table(headings, rows)


def _section(space: str, device: str, found: Found, ceiling: Mapping[str, float]) -> str:
    """Return all figures of a device, by method and number of measurements."""
    rows = []
    for method in METHODS:
        for k in SAMPLES:
            if values := _values(found, space, device, method, k):
                shown = [f"{np.mean([v[name] for v in values]):.4f}" for name in FIGURES]
                rows.append([method, str(k), str(len(values)), *shown, _worst(values)])
    rows.append(["whole pool", "–", "1", *(f"{ceiling[name]:.4f}" for name in FIGURES[:-1]), "–", "–"])
    return markdown_table(["method", "k", "seeds", *FIGURES, "worst tenth"], rows)


def _values(found: Found, space: str, device: str, method: str, k: int) -> list[Mapping[str, float]]:
    """Return the figures of all seeds."""
    asked = (space, device, method, k)
    return [values for run, values in found.items() if (run.space, run.device, run.method, run.k) == asked]


def _shown(values: Sequence[Mapping[str, float]], name: str, *, percent: bool = False) -> str:
    """Return the mean over seeds."""
    if not values:
        return "–"
    mean = float(np.mean([value[name] for value in values]))
    return f"{mean:.1%}" if percent else f"{mean:.3f}"


def _worst(values: Sequence[Mapping[str, float]]) -> str:
    """Return the mean trimmed rank correlation of the worst tenth of seeds."""
    if not values:
        return "–"
    ranks = sorted(value["trimmed"] for value in values)
    return f"{np.mean(ranks[: max(1, len(ranks) // 10)]):.3f}"
