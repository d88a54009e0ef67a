"""Ray Tune: a search strategy as its searcher, and evaluations as its trainables.

A Tune user so keeps its schedulers, its loggers and `Tuner.restore`. A trial's `config["architecture"]` maps each
choice to an option; `tuned` is what stands for that in the space of a searcher of Tune's own, such as its Optuna.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune
from ray.tune.result import TRAINING_ITERATION
from ray.tune.search import Searcher
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from nas import strategies
from nas.data import Dataset
from nas.evaluation.batches import Batches
from nas.evaluation.evaluator import Evaluator
from nas.evaluation.shared_weights import score
from nas.executors.parcel import Parcel, pack, unpack
from nas.objectives import FeasibleRegion, Objective, scores_of
from nas.strategy import Strategy
from nas.training import TrainingOptions
from nas.training.descent import Descent, Student
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError
from search_spaces.plan_index import Population
from search_spaces.storage import write_json

_ARCHITECTURE = "architecture"
_SCHEMA, _CHECKPOINT = "searcher/1", "network.safetensors"
_STALE_ASKS = 50


class StrategySearcher(Searcher):  # type: ignore[misc]
    """One of our strategies as a searcher of Tune's: networks that are new, in the strategy's order.

    The strategy is told of an ask when all of it has ended, and asked again only then, so that what it proposes does
    not depend on how many trials run at a time. What is saved is what trials told: a searcher that is restored asks
    its strategy anew and tells it the same.

    Args:
        strategy: proposes.
        region: the networks that keep the constraints.
        objectives: what trials report under these names, in every report; costs of cost models need not be reported.
        seed: of the strategy.

    Raises:
        InputError: the strategy cannot serve the objectives or search the space.
    """

    def __init__(
        self, strategy: Strategy, region: FeasibleRegion, objectives: Sequence[Objective], seed: int = 0
    ) -> None:
        strategies.require_serves(strategy, objectives)
        strategies.require_searches(strategy, region.space)
        reported = [objective for objective in objectives if objective.metric not in objective.costs]
        self._names = [objective.metric for objective in reported]
        modes = ["max" if objective.maximise else "min" for objective in reported]
        alone = len(reported) == 1  # Tune's `Repeater` takes no list
        super().__init__(self._names[0] if alone else self._names, modes[0] if alone else modes)
        self._strategy, self._region, self._objectives, self._seed = strategy, region, tuple(objectives), seed
        self._constants: Mapping[str, Any] = {}
        self._results: dict[bytes, dict[str, float]] = {}
        self._live: dict[str, bytes] = {}
        self._begin()

    def _begin(self) -> None:
        self._strategy.begin(self._region, self._objectives, self._seed)
        self._asked: Population = self._strategy.ask()
        self._n_stale = 0

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **_: Any) -> bool:
        """Take what is the same for all trials, beside their architecture."""
        if _ARCHITECTURE in config:
            raise InputError(f"param_space has an {_ARCHITECTURE!r}, which the strategy chooses: leave it out")
        self._constants = config
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return a trial's config, None while the strategy waits for results, or that there is nothing new."""
        while len(self._asked) and self._n_stale < _STALE_ASKS:
            keys = [row.tobytes() for row in self._asked]
            for row, key in zip(self._asked, keys, strict=True):
                if key not in self._results and key not in self._live.values():
                    self._live[trial_id] = key
                    self._n_stale = 0
                    return {**self._constants, _ARCHITECTURE: dict(self._region.space.decode(row[None])[0])}
            if any(key not in self._results for key in keys):
                return None
            self._tell(keys)
        finished: str = Searcher.FINISHED
        return finished

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take note of a trial's last report; one that failed, or was stopped before any, counts as the worst.

        Raises:
            InputError: the report lacks a metric. Tune then calls the trial failed, which it is told of in turn.
        """
        if trial_id not in self._live:
            return
        # Tune fills in numbers of its own for a trial that is stopped before it reports
        if error or not result or result.get(TRAINING_ITERATION) == 0:
            result = dict.fromkeys(self._names, np.nan)
        if missing := [name for name in self._names if name not in result]:
            raise InputError(
                f"trial {trial_id} ended without {' and '.join(missing)}: have it report that with tune.report, or "
                "give the objective the name of a metric that it reports"
            )
        self._results[self._live.pop(trial_id)] = {name: float(result[name]) for name in self._names}

    def save(self, checkpoint_path: str) -> None:
        """Write down what trials told, in the order in which they ended."""
        results = [
            {"row": np.frombuffer(key, np.int64).tolist()}
            | {name: value if np.isfinite(value) else None for name, value in values.items()}
            for key, values in self._results.items()
        ]
        live = {trial: np.frombuffer(key, np.int64).tolist() for trial, key in self._live.items()}
        write_json(Path(checkpoint_path), _SCHEMA, {"seed": self._seed, "results": results, "live": live})

    def restore(self, checkpoint_path: str) -> None:
        """Go on from what `save` wrote."""
        document = json.loads(Path(checkpoint_path).read_text())
        if document["seed"] != self._seed:
            raise InputError(f"{checkpoint_path} was made with seed {document['seed']}, asked for is {self._seed}")
        self._live = {trial: np.array(row, np.int64).tobytes() for trial, row in document["live"].items()}
        for record in document["results"]:
            key = np.array(record.pop("row"), np.int64).tobytes()
            self._results[key] = {name: np.nan if value is None else value for name, value in record.items()}
        self._begin()

    def _tell(self, keys: Sequence[bytes]) -> None:
        costs = {
            name: model.predict(self._asked)
            for objective in self._objectives
            for name, model in objective.costs.items()
        }
        told = {name: np.array([self._results[key][name] for key in keys]) for name in self._results[keys[0]]}
        self._strategy.tell(self._asked, scores_of(self._objectives, told | costs))
        self._asked = self._strategy.ask()
        self._n_stale += 1


def tuned(space: SearchSpace) -> dict[str, Any]:
    """Return the part of a `param_space` that stands for the architecture, for Tune's own searchers."""
    return {_ARCHITECTURE: {choice.name: tune.choice(list(choice.options)) for choice in space.choices}}


def evaluation(evaluator: Evaluator) -> Callable[[dict[str, Any]], None]:
    """Return a trainable that reports an evaluator's metrics, once; its weights are in each node's memory once."""
    trainable: Callable[[dict[str, Any]], None] = tune.with_parameters(_evaluate, parcel=pack(evaluator))
    return trainable


def training(space: SearchSpace, data: Dataset, options: TrainingOptions) -> Callable[[dict[str, Any]], None]:
    """Return a trainable that trains a network from the start and reports its validation metrics after each epoch.

    For schedulers that stop the worse ones early. It goes on from its last checkpoint where Tune restores it.
    """
    data.require_heeded(options.augmentation)
    trainable: Callable[[dict[str, Any]], None] = tune.with_parameters(_train, space=space, data=data, options=options)
    return trainable


def _evaluate(config: dict[str, Any], parcel: Parcel) -> None:
    evaluator = unpack(parcel)
    population = evaluator.space.canonical(evaluator.space.encode([Architecture(config[_ARCHITECTURE])]))
    tune.report({name: float(values[0]) for name, values in evaluator.evaluate(population).items()})


def _train(config: dict[str, Any], space: SearchSpace, data: Dataset, options: TrainingOptions) -> None:
    architecture = Architecture(config[_ARCHITECTURE])
    network = space.build(architecture)
    prepare = partial(space.prepare, architecture=architecture)
    validation = Batches(data, data.validation)
    descent = Descent(network, data, options)
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as directory:
            _restore(descent, Path(directory) / _CHECKPOINT)
    while descent.step < descent.n_steps:
        network.train()
        for _ in range(descent.steps_per_epoch):
            loss = descent.descend([Student(network, prepare)], distil=False)
        metrics = score(network.eval(), validation, prepare) | {"training_loss": loss}
        with tempfile.TemporaryDirectory() as directory:
            _save(descent, Path(directory) / _CHECKPOINT)
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(directory))


def _save(descent: Descent, path: Path) -> None:
    states = {"network": descent.model.state_dict(), "optimizer": descent.optimizer_state()}
    tensors = {
        f"{kind}.{name}": tensor.contiguous() for kind, state in states.items() for name, tensor in state.items()
    }
    save_file(tensors, path, {"step": str(descent.step)})


def _restore(descent: Descent, path: Path) -> None:
    states: dict[str, dict[str, Any]] = {"network": {}, "optimizer": {}}
    with safe_open(path, "pt") as file:
        descent.step = int(file.metadata()["step"])
        for key in file.keys():  # noqa: SIM118  # not a dictionary
            kind, _, name = key.partition(".")
            states[kind][name] = file.get_tensor(key)
    model: nn.Module = descent.model
    model.load_state_dict(states["network"])
    descent.set_optimizer_state(states["optimizer"])
