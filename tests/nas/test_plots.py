"""What was not measured does not look as if it had been."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from latency_predictors.analytic.roofline import Roofline
from nas import plots
from nas.finalists import DeviceLatency, Finalist, Latency
from search_spaces import Architecture


def finalist(measured_ms: float | None) -> Finalist:
    measured = None if measured_ms is None else Latency(measured_ms, measured_ms, measured_ms, 1)
    return Finalist(Architecture({}), {}, {"latency_ms": DeviceLatency(2.0, measured)}, meets_budget=True)


def test_predictions_are_compared_with_measurements_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, drawn = tmp_path / "predictions.png", list[Figure]()
    monkeypatch.setattr(plots, "_save", lambda figure, _: drawn.append(figure))
    plots.plot_predictions(path, "latency_ms", Roofline(), [finalist(None)])
    assert not drawn, "nothing was measured"
    plots.plot_predictions(path, "latency_ms", Roofline(), [finalist(None), finalist(3.0)])
    points, _ = drawn[0].axes[0].get_lines()
    np.testing.assert_array_equal(points.get_xydata(), [[3, 2]])
    assert points.get_label() == "finalists that keep the budget (measured)"
