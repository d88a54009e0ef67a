"""The evaluations of a search, in its order: in memory, in its journal, and beside it those that ended early."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.evaluation.evaluator import Metrics
from nas.executors.executor import SAME_FAILURES, Failure, Outcome
from search_spaces.errors import InputError
from search_spaces.plan_index import Population
from search_spaces.storage import Journal, require_same

RESERVED = _ROW, _FAILURE = "row", "failure"
"""What a journal says of an evaluation beside its metrics, so that no metric may be called that."""


class Recorder:
    """Takes note of evaluations, and plays back those that the journal held at the start.

    The journal is the same however many workers there are, for it is written in the search's order. An outcome that is
    there before one that precedes it is kept in a file of its own until its turn, so that a kill loses nothing.

    Args:
        path: of the journal; None keeps none.
        belongs_to: what it is recorded under.

    Raises:
        InputError: the journal is another search's, or cannot be written.
    """

    def __init__(self, path: Path | None, belongs_to: Mapping[str, Any]) -> None:
        self.rows: list[list[int]] = []
        self._values: dict[str, list[float]] = {}
        self._failing: list[str | None] = []
        self._belongs_to = belongs_to
        self._journal = _journal(path) if path else None
        self._early_path = path.with_name(f"{path.stem}.early{path.suffix}") if path else None
        self._early_journal: Journal | None = None
        self._recorded: deque[dict[str, Any]] = deque()
        self._early: dict[bytes, Outcome] = {}
        try:
            self._recover()
        except InputError:
            self._close()
            raise

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._close()
        if kind is None and self._early_path:
            self._early_path.unlink(missing_ok=True)

    def _recover(self) -> None:
        if self._journal:
            self._recorded.extend(_opened(self._journal, self._belongs_to))  # refused before anything is dropped
            while self._recorded and _FAILURE in self._recorded[-1]:
                self._recorded.pop()  # tried again: whatever made the search stop there may be mended
                self._journal.drop_last()
        if self._early_path and self._early_path.exists():
            self._open_early()

    def _close(self) -> None:
        for journal in (self._journal, self._early_journal):
            if journal:
                journal.close()

    def replay(self, fresh: Population) -> int:
        """Take the evaluations of the first of these networks from the journal; return how many it held."""
        n = min(len(fresh), len(self._recorded))
        for row in fresh[:n].tolist():
            record = self._recorded.popleft()
            if record.pop(_ROW) != row:
                raise InputError(
                    f"the journal does not hold what this search would have done at evaluation {len(self.rows) + 1}: "
                    "it was made by another version; use another output directory"
                )
            failure = record.pop(_FAILURE, None)
            self._keep(row, {name: math.nan if value is None else value for name, value in record.items()}, failure)
        return n

    def early(self, batch: Population) -> Outcome | None:
        """Return what came of a batch that ended before its turn, if a search that was killed kept it."""
        return self._early.pop(batch.tobytes(), None)

    def keep_early(self, batch: Population, outcome: Outcome) -> None:
        """Keep what came of a batch whose turn has not come, unless it is to be tried again after a kill."""
        if self._early_path and not outcome.failures:
            self._open_early().append([_to_json(batch, outcome)])

    def record(self, population: Population, metrics: Metrics, failures: Mapping[int, Failure]) -> None:
        """Take note of new evaluations; what is infinite counts as failed, as NaN does.

        Raises:
            InputError: the last evaluations failed alike.
        """
        columns = {name: np.where(np.isfinite(values), values, np.nan).tolist() for name, values in metrics.items()}
        lines = []
        for i, row in enumerate(population.tolist()):
            values = {name: column[i] for name, column in columns.items()}
            line = {_ROW: row} | {name: None if math.isnan(value) else value for name, value in values.items()}
            failure = vars(failures[i]) if i in failures else None
            lines.append(line | ({_FAILURE: failure} if failure else {}))
            self._keep(row, values, failure)
            if failure and self._failing[-SAME_FAILURES:] == [failure["kind"]] * SAME_FAILURES:
                self._append(lines)
                raise InputError(self._report(failure))
        self._append(lines)

    def _append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if self._journal:
            self._journal.append(lines)

    def _report(self, failure: Mapping[str, str]) -> str:
        said = failure["trace"].strip().splitlines()[-1]
        where = f"traces are in {self._journal.path}" if self._journal else "a journal would keep the traces"
        return (
            f"{SAME_FAILURES} evaluations in a row failed alike, {failure['kind']}: {said}; {where}. "
            "Mend that, and the same search goes on from there"
        )

    def _keep(self, row: list[int], values: Mapping[str, float], failure: Mapping[str, str] | None) -> None:
        self.rows.append(row)
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)
        self._failing = [*self._failing[-SAME_FAILURES:], failure["kind"] if failure else None]

    def metrics(self, places: Sequence[int] | None = None) -> Metrics:
        """Return the metrics (N,) of the evaluations at some places in their order, or of all."""
        chosen = range(len(self.rows)) if places is None else places
        return {name: np.array([v[i] for i in chosen], np.float64) for name, v in self._values.items()}

    def _open_early(self) -> Journal:
        if self._early_journal is None:
            assert self._early_path is not None
            self._early_journal = Journal(self._early_path)
            for record in _opened(self._early_journal, self._belongs_to):
                batch, outcome = _from_json(record)
                self._early[batch.tobytes()] = outcome
        return self._early_journal


def _journal(path: Path) -> Journal:
    try:
        return Journal(path)
    except OSError as error:
        raise InputError(f"journal {path}: {error.strerror}; give a file that can be written") from None


def _opened(journal: Journal, belongs_to: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records of a journal without the first, which says what it belongs to and is written if missing."""
    if not journal.recovered:
        journal.append([belongs_to])
        return []
    require_same(f"the search in {journal.path}", journal.recovered[0], belongs_to)
    return journal.recovered[1:]


def _to_json(batch: Population, outcome: Outcome) -> dict[str, Any]:
    metrics = {
        name: [value if math.isfinite(value) else None for value in values.tolist()]
        for name, values in outcome.metrics.items()
    }
    return {"rows": batch.tolist(), "metrics": metrics}


def _from_json(record: Mapping[str, Any]) -> tuple[Population, Outcome]:
    metrics = {name: np.array(values, np.float64) for name, values in record["metrics"].items()}
    return np.array(record["rows"], np.int64), Outcome(metrics)
