"""The two pictures of a search: what was reached at which latency, and predicted against measured."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from latency_predictors.latency_model import LatencyModel
from nas.finalists import Finalist
from nas.pareto import front
from search_spaces.storage import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_pareto(
    path: Path,
    latency: str,
    metric: str,
    metrics: Mapping[str, NDArray[np.float64]],
    finalists: Sequence[Finalist],
    budget_ms: float | None,
) -> None:
    """Write a PNG of evaluated networks by predicted latency and a metric, with finalists as they were measured.

    Args:
        path: of the file.
        latency: its metric, which tells the devices apart.
        metric: of the validation examples.
        metrics: of the evaluated networks, (N,) each.
        finalists: those that were measured.
        budget_ms: None where the latency is only lowered.
    """
    figure, axes = _blank(6, 4)
    latency_ms, values = metrics[latency], metrics[metric]
    axes.plot(latency_ms, values, ".", color="0.7", label="evaluated on shared weights (latency predicted)")
    best = front(np.stack([-latency_ms, values], axis=1))
    axes.plot(latency_ms[best], values[best], "-", color="C0", label="Pareto front")
    _plot_finalists(axes, latency, finalists, [finalist.metrics[metric] for finalist in finalists])
    if budget_ms is not None:
        axes.axvline(budget_ms, color="C3", linestyle="--", label=f"budget {budget_ms:.3g} ms")
    axes.set(xlabel="latency (ms)", ylabel=f"validation {metric.replace('_', ' ')}")
    axes.legend(fontsize="small")
    _save(figure, path)


def plot_predictions(path: Path, latency: str, model: LatencyModel, finalists: Sequence[Finalist]) -> None:
    """Write a PNG of predicted against measured latency: networks that the model was tested on, and finalists.

    Those that were not measured are left out; where nothing was, nothing is written.
    """
    measured, predicted = model.tested()
    finalists = [finalist for finalist in finalists if finalist.latencies[latency].measured is not None]
    if not len(measured) and not finalists:
        return
    figure, axes = _blank(4.5, 4.5)
    if len(measured):
        axes.plot(measured, predicted, ".", color="0.5", label="held-out networks")
    _plot_finalists(axes, latency, finalists, [finalist.latencies[latency].predicted_ms for finalist in finalists])
    axes.axline((0, 0), slope=1, color="C0", linewidth=1)
    error = f"mean absolute error {np.abs(predicted / measured - 1).mean():.1%}" if len(measured) else "not tested"
    axes.set(xlabel="measured (ms)", ylabel="predicted (ms)", title=error)
    axes.legend(fontsize="small")
    _save(figure, path)


def _blank(width: float, height: float) -> "tuple[Figure, Axes]":
    """Return a figure of a size in inches, and its axes."""
    from matplotlib.figure import Figure  # here, as every command would else wait for it at its start

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _plot_finalists(axes: "Axes", latency: str, finalists: Sequence[Finalist], heights: Sequence[float]) -> None:
    for meets, colour, label in ((True, "C2", "finalists that keep the budget"), (False, "C3", "dropped finalists")):
        chosen = [i for i, finalist in enumerate(finalists) if finalist.meets_budget == meets]
        if chosen:
            latencies = [finalists[i].latencies[latency] for i in chosen]
            how = "predicted" if latencies[0].measured is None else "measured"
            x = [one.latency_ms for one in latencies]
            axes.plot(x, [heights[i] for i in chosen], "o", color=colour, label=f"{label} ({how})")


def _save(figure: "Figure", path: Path) -> None:
    image = BytesIO()
    figure.savefig(image, format="png", dpi=150)
    write_atomic(path, lambda temporary: temporary.write_bytes(image.getvalue()))
