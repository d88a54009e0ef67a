"""A model that is loaded and ready to be timed, and the kind that runs on every device: a session of onnxruntime."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

LARGEST_DIFFERENCE = {"float32": 1e-2, "int8": 0.5}
"""How far outputs may be from torch's before another network than asked for was measured; see `difference`."""


class Runner:
    """A loaded model with its inputs and outputs in place: a run costs no copies."""

    def run(self) -> None:
        """Run the model once, to the end."""
        raise NotImplementedError

    def output(self) -> Any:
        """Return the output of the last run as an array."""
        raise NotImplementedError

    def time_ms(self) -> float:
        """Run the model once and return how long it took."""
        start_ns = time.perf_counter_ns()
        self.run()
        return (time.perf_counter_ns() - start_ns) / 1e6


class Session(Runner):
    """A model under onnxruntime, on the processor."""

    def __init__(self, content: bytes, feed: Mapping[str, Any], threads: int, batch_size: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 4  # failures are raised, and told once
        # With an open batch axis, a transformer works out its shapes in every run: 6-9 % of its latency.
        options.add_free_dimension_override_by_name("batch", batch_size)
        # The threads of the model that ran before must not spin while another one is timed.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        for name, array in feed.items():
            self._binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        names = [value.name for value in self._session.get_outputs()]
        for name, array in zip(names, self._session.run(names, dict(feed))):
            self._binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def output(self) -> Any:
        return self._binding.get_outputs()[0].numpy()


def difference(actual: Any, expected: Any) -> float:
    """Return how far an output is from the expected one, relative to that by the norm; NaN if either holds one."""
    if actual.shape != expected.shape:
        return float("nan")
    scale = float(np.linalg.norm(expected.astype(np.float64))) or 1.0
    return float(np.linalg.norm(actual.astype(np.float64) - expected)) / scale
