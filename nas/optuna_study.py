"""Optuna's samplers (Akiba et al., KDD 2019) as search strategies: a study that is asked and told."""

import json
import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState
from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from nas.pareto import Scores
from nas.strategy import Strategy
from search_spaces.errors import InputError
from search_spaces.plan_index import Population
from search_spaces.space import Choice

optuna.logging.set_verbosity(optuna.logging.WARNING)

_DRAWN = 20
"""So many times as many random networks are drawn as are wanted: most may be known."""

_LARGEST = 1e100
"""Of the values that a study is told: samplers square them."""


@dataclass(config={"extra": "forbid"})
class OptunaStrategy(Strategy):
    """Proposes what a sampler of Optuna suggests, as far as it is in the region and new.

    Choices of numbers are integers to the sampler, others categories. With a storage, Optuna's dashboard shows the
    search; a search that goes on after a kill makes its study anew, to the same trials.

    Attributes:
        tries: so often the sampler may propose what is not in the region, or known, before a random network's turn.
        learns_bounds: whether the sampler can be told what is out of the region, by how much limits are exceeded;
            otherwise such trials count as failed.
    """

    multi_objective = True
    for_dear_evaluations = True
    tries: ClassVar[int] = 20
    learns_bounds: ClassVar[bool] = True

    batch: int = Field(default=1, ge=1, description="networks proposed at a time")
    storage: str | None = Field(
        default=None, min_length=1, description="where the study is kept, such as sqlite:///study.db; unset: in memory"
    )
    study: str = Field(default="nas", min_length=1, description="the study's name in the storage")

    @field_validator("storage")
    @classmethod
    def _url(cls, storage: str | None) -> str | None:
        if storage is not None and not _is_database(storage):
            raise InputError(
                f"optuna cannot keep a study in {storage}: expected the URL of a database, such as sqlite:///study.db, "
                "or sqlite:////folder/study.db for an absolute path, in a folder that there is"
            )
        return storage

    @abstractmethod
    def _sampler(self, seed: int) -> BaseSampler:
        """Return the sampler."""

    def _begin(self) -> None:
        self._distributions = {choice.name: _distribution(choice) for choice in self.region.space.choices}
        self._known: dict[bytes, tuple[NDArray[np.float64], float]] = {}
        self._waiting: dict[bytes, Trial] = {}
        sampler = self._quiet_sampler(int(self.rng.integers(2**31)))
        self._study = optuna.create_study(sampler=sampler, directions=self._directions)
        self._kept = None if self.storage is None else self._create(self.storage)

    @property
    def _directions(self) -> list[StudyDirection]:
        up, down = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
        return [up if objective.maximise else down for objective in self.objectives]

    def to_json(self) -> dict[str, Any]:
        """Return its name and its options, but not where a study is kept, which changes nothing."""
        said = super().to_json()
        options = {name: value for name, value in said["options"].items() if name not in ("storage", "study")}
        return said | {"options": options}

    def _create(self, storage: str) -> optuna.Study:
        """Return a new study in a storage, in the place of that of the same search if there is one.

        A sampler would read and write there parameter by parameter, a hundred times slower than in memory. So trials
        are put there whole, as they end.

        Raises:
            InputError: the storage holds another search's study of this name, or cannot be opened.
        """
        search = json.dumps({**self.search, "strategy": self.to_json()}, sort_keys=True)
        try:
            if self.study in optuna.get_all_study_names(storage):
                held = optuna.load_study(study_name=self.study, storage=storage).user_attrs.get("search")
                if held != search:
                    raise InputError(
                        f"{storage} holds a study {self.study!r} of another search: give this one another name "
                        "with the strategy's option study=NAME, or go on with the same search"
                    )
                optuna.delete_study(study_name=self.study, storage=storage)
            study = optuna.create_study(storage=storage, study_name=self.study, directions=self._directions)
        except (ValueError, ImportError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())
            raise InputError(f"optuna cannot keep a study in {storage}: {reason}") from None
        study.set_user_attr("search", search)
        return study

    def _quiet_sampler(self, seed: int) -> BaseSampler:
        with warnings.catch_warnings():  # some options of samplers are called experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self._sampler(seed)

    def _end(self, trial: Trial, values: list[float] | None = None) -> None:
        """End a trial, without values as one that failed."""
        ended = self._study.tell(trial, values, state=TrialState.FAIL if values is None else None)
        if self._kept is not None:
            self._kept.add_trial(ended)

    def _ask(self) -> Population:
        for trial in self._waiting.values():  # what nobody told of
            self._end(trial)
        self._waiting.clear()
        for _ in range(self.batch):
            if not self._suggest() and not self._explore():
                break
        rows = [np.frombuffer(key, np.int64) for key in self._waiting]
        return np.array(rows, np.int64).reshape(-1, len(self._distributions))

    def _suggest(self) -> bool:
        """Let the sampler suggest a new network of the region; return whether it did."""
        for _ in range(self.tries):
            trial = self._study.ask(self._distributions)
            row = self._row(trial)
            key = row.tobytes()
            if key in self._known:
                self._report(trial, *self._known[key])
            elif key in self._waiting:  # its own trial will tell how good it is
                self._end(trial)
            elif not self.region.contains(row).all():
                self._refuse(trial, row)
            else:
                self._waiting[key] = trial
                return True
        return False

    def _explore(self) -> bool:
        """Put a random network of the region in the place of a suggestion; return whether there is a new one."""
        drawn = self.region.sample(_DRAWN * self.batch, self.rng)
        new = self.region.new(drawn, self._known.keys() | self._waiting.keys())
        if len(new):
            self._enqueue(new[0])
        return len(new) > 0

    def _enqueue(self, row: NDArray[np.int64]) -> None:
        """Make a trial of a network that the sampler did not suggest."""
        self._study.enqueue_trial(self._parameters(row))
        self._waiting[row.tobytes()] = self._study.ask(self._distributions)

    def _tell(self, population: Population, scores: Scores, violations: NDArray[np.float64]) -> None:
        for row, score, violation in zip(population, scores, violations.tolist(), strict=True):
            key = row.tobytes()
            if key not in self._waiting and key not in self._known:  # chosen elsewhere
                self._enqueue(row)
            self._known[key] = score, violation
            if key in self._waiting:
                self._report(self._waiting.pop(key), score, violation)

    def _report(self, trial: Trial, score: NDArray[np.float64], violation: float) -> None:
        """Tell the study of an evaluation: in the metrics' own sign, so that a dashboard shows what was measured."""
        if not np.isfinite(score).all() or not np.isfinite(violation) or (violation and not self.learns_bounds):
            self._end(trial)
            return
        if self.learns_bounds:
            trial.set_constraint("violation", violation)
        signs = [1.0 if objective.maximise else -1.0 for objective in self.objectives]
        self._end(trial, (np.clip(score, -_LARGEST, _LARGEST) * signs).tolist())

    def _refuse(self, trial: Trial, row: Population) -> None:
        """Tell the study of what is out of the region: worse than anything known, by as much as bounds are exceeded."""
        finite = [score for score, _ in self._known.values() if np.isfinite(score).all()]
        if not self.learns_bounds or not finite:
            self._end(trial)
            return
        self._report(trial, np.min(finite, axis=0), max(1e-6, float(self.region.violations(row)[0])))

    def _row(self, trial: Trial) -> Population:
        """Return a trial's network in canonical form, (1, choices)."""
        numbers = [[trial.params[name] for name in self._distributions]]
        return self.region.space.canonical(np.array(numbers, np.int64))

    def _parameters(self, row: NDArray[np.int64]) -> dict[str, Any]:
        return dict(zip(self._distributions, row.tolist(), strict=True))


def _is_database(storage: str) -> bool:
    """Tell whether a text is the URL of a database of a kind that there is, and can be talked to from here."""
    try:
        url = make_url(storage)
        url.get_dialect().import_dbapi()
    except (SQLAlchemyError, ValueError, ImportError):
        return False
    if url.get_backend_name() != "sqlite":
        return True
    return not url.host and Path(url.database or "").parent.is_dir()  # two slashes make a host of the file


def _distribution(choice: Choice) -> BaseDistribution:
    """Return a choice's numbers of options as a sampler sees them: in order where the options are numbers."""
    n = len(choice.options)
    return IntDistribution(0, n - 1) if is_of_numbers(choice) else CategoricalDistribution(range(n))


def is_of_numbers(choice: Choice) -> bool:
    """Tell whether the options of a choice are numbers, so that their order means something."""
    return all(isinstance(option, int | float) for option in choice.options)
