"""The two pictures of a search: what was reached at which latency, and predicted against measured."""

from collections.abc import Sequence
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
    latency_ms: NDArray[np.float64],
    metric: str,
    values: NDArray[np.float64],
    finalists: Sequence[Finalist],
    budget_ms: float,
) -> None:
    """Write a PNG of evaluated networks by predicted latency and a metric, with finalists as they were measured."""
    figure, axes = _blank(6, 4)
    axes.plot(latency_ms, values, ".", color="0.7", label="evaluated on shared weights (latency predicted)")
    best = front(np.stack([-latency_ms, values], axis=1))
    axes.plot(latency_ms[best], values[best], "-", color="C0", label="Pareto front")
    _plot_finalists(axes, finalists, [finalist.metrics[metric] for finalist in finalists])
    axes.axvline(budget_ms, color="C3", linestyle="--", label=f"budget {budget_ms:.3g} ms")
    axes.set(xlabel="latency (ms)", ylabel=f"validation {metric.replace('_', ' ')}")
    axes.legend(fontsize="small")
    _save(figure, path)


def plot_predictions(path: Path, model: LatencyModel, finalists: Sequence[Finalist]) -> None:
    """Write a PNG of predicted against measured latency: networks that the model was tested on, and finalists."""
    figure, axes = _blank(4.5, 4.5)
    measured, predicted = model.tested()
    axes.plot(measured, predicted, ".", color="0.5", label="held-out networks")
    _plot_finalists(axes, finalists, [finalist.predicted_ms for finalist in finalists])
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


def _plot_finalists(axes: "Axes", finalists: Sequence[Finalist], heights: Sequence[float]) -> None:
    for meets, colour, label in ((True, "C2", "finalists that keep the budget"), (False, "C3", "dropped finalists")):
        chosen = [i for i, finalist in enumerate(finalists) if finalist.meets_budget == meets]
        if chosen:
            how = "predicted" if finalists[chosen[0]].measured is None else "measured"
            x = [finalists[i].latency_ms for i in chosen]
            axes.plot(x, [heights[i] for i in chosen], "o", color=colour, label=f"{label} ({how})")


def _save(figure: "Figure", path: Path) -> None:
    image = BytesIO()
    figure.savefig(image, format="png", dpi=150)
    write_atomic(path, lambda temporary: temporary.write_bytes(image.getvalue()))
