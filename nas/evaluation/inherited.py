"""How good networks are after a short training from the weights of networks that were trained before them."""

import dataclasses
import logging
import math
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from safetensors.torch import load_file
from torch import nn

from nas.data import Dataset
from nas.evaluation.batches import Batches
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.evaluation.shared_weights import estimate_statistics, score
from nas.morphism import inherit, morph, possible
from nas.run_directory import material
from nas.training import TrainingOptions, finetune
from nas.training.checkpoint import content_of
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError
from search_spaces.images import channels_last
from search_spaces.plan_index import Population
from search_spaces.storage import Journal, require_same, write_atomic

logger = logging.getLogger(__name__)

JOURNAL = "trained.jsonl"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class InheritanceOptions(TrainingOptions):
    """How networks are trained one after the other."""

    epochs: int = Field(default=5, ge=1, description="passes of a network that inherits weights")
    scratch_epochs: int = Field(default=30, ge=1, description="passes of a network that inherits none")
    approximate: bool = Field(
        default=False,
        description="where no morphism leads to a network, let it inherit what it has in common with the nearest one",
    )


class Inherited(Evaluator):
    """Trains each network from the weights of the nearest one that a morphism leads from, else from the start.

    As in search by network transformation (EAS, Cai et al., AAAI 2018) and Lamarckian evolution (LEMONADE, Elsken et
    al., ICLR 2019): what a network has learned is not learned again by those that grow out of it. Near are networks
    with few blocks that differ; of equally near ones the last trained is taken. Results depend on the order of
    evaluation, and on nothing else: a search that goes on in the same directory goes on to the same end.

    Writes `trained.jsonl`, a record a network, and their weights.

    Args:
        space: the networks'.
        data: the data set; its test part is never read.
        directory: keeps weights; an existing one of the same space, data and options is gone on with.
        options: of each network's training.
        first: a network that was trained elsewhere, and its architecture: its scores are its own, and others grow out
            of it. Give its architecture to the search as `first`, too, so that the strategy begins there.

    Raises:
        InputError: the directory holds networks of another space, other data, other options or another first; an
            option does nothing to the data; or the first network is not of its architecture, or has no finite scores.
    """

    independent = False
    batch_size = 1

    def __init__(
        self,
        space: SearchSpace,
        data: Dataset,
        directory: Path,
        options: InheritanceOptions | None = None,
        *,
        first: tuple[Architecture, nn.Module] | None = None,
    ) -> None:
        self.space = space
        self.data = data
        self.metrics = data.metrics
        self.directory = directory
        self.options = options or InheritanceOptions()
        data.require_heeded(self.options.augmentation)
        self._validation = Batches(data, data.validation)
        self._statistics = Batches(data, data.train, data.n_statistics)
        self._records: dict[bytes, dict[str, Any]] = {}
        belongs_to = {
            "space": space.to_json(),
            "data": data.fingerprint,
            "options": material(dataclasses.asdict(self.options)),
        }
        given = None if first is None else (first[0], self._rebuilt(*first))
        if given is not None:
            belongs_to["first"] = {"architecture": given[0].id, "weights": sha256(content_of(given[1])).hexdigest()}
        with Journal(directory / JOURNAL) as journal:
            if journal.recovered:
                require_same(f"{directory}", journal.recovered[0], belongs_to)
            else:
                journal.append([belongs_to])
            for record in journal.recovered[1:]:
                self._records[np.array(record["row"]).tobytes()] = record
        if given is not None and not self._records:
            self._begin_with(*given)

    def evaluate(self, population: Population) -> Metrics:
        results = [self._evaluate(row) for row in self.space.canonical(population).astype(np.int64)]
        return {name: np.array([result[name] for result in results], np.float64) for name in self.metrics}

    def network(self, architecture: Mapping[str, Any]) -> nn.Module:
        """Return a network that was evaluated, with its weights, in evaluation mode.

        Raises:
            InputError: it was not, or its training failed.
        """
        (row,) = self.space.canonical(self.space.encode([architecture]))
        if self._records.get(row.tobytes(), {}).get("failed", True):
            raise InputError(f"{self.directory} holds no weights of {architecture}: evaluate it first")
        return self._load(row)

    def _evaluate(self, row: NDArray[np.int64]) -> dict[str, float]:
        """Return the metrics of one canonical architecture (choices,), NaN if its training failed."""
        if row.tobytes() not in self._records:
            self._remember(self._train(row))
        found = self._records[row.tobytes()]
        return {name: found.get(name, math.nan) for name in self.metrics}

    def _remember(self, record: dict[str, Any]) -> None:
        with Journal(self.directory / JOURNAL) as journal:
            journal.append([record])
        self._records[np.array(record["row"]).tobytes()] = record

    def _rebuilt(self, architecture: Architecture, trained: nn.Module) -> nn.Module:
        """Return a network of this space with a trained one's weights and statistics, in evaluation mode."""
        network = self.space.build(architecture)
        try:
            network.load_state_dict(trained.state_dict())
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"the first network is none of {architecture.id} in {self.space.name}: {reason}") from None
        return network.eval()

    def _begin_with(self, architecture: Architecture, network: nn.Module) -> None:
        """Take note of the network that all begins with."""
        found = score(network, self._validation, partial(self.space.prepare, architecture=architecture))
        if not np.isfinite(list(found.values())).all():
            raise InputError(f"the first network, {architecture.id}, has scores that are not finite: {found}")
        (row,) = self.space.canonical(self.space.encode([architecture])).astype(np.int64)
        self._save(row, network)
        self._remember({"row": row.tolist(), "ancestor": None, "failed": False} | found)

    def _train(self, row: NDArray[np.int64]) -> dict[str, Any]:
        """Train a network, keep its weights, and return what to remember of it."""
        (architecture,) = self.space.decode(row[None])
        ancestor = self._ancestor(row)
        record = {"row": row.tolist(), "ancestor": None if ancestor is None else ancestor.tolist(), "failed": False}
        epochs = self.options.scratch_epochs if ancestor is None else self.options.epochs
        prepare = partial(self.space.prepare, architecture=architecture)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed)
            network = self._heir(ancestor, architecture)
            channels_last(network)
            try:
                options = dataclasses.replace(self.options, epochs=epochs)
                finetune(network, self.data, prepare, options, progress=False)
            except InputError as error:  # it diverged: the options were looked at before
                logger.warning("%s: %s", architecture.id, error)
                return record | {"failed": True}
        estimate_statistics(network, self._statistics, prepare)
        found = score(network.eval(), self._validation, prepare)
        if not np.isfinite(list(found.values())).all():
            return record | {"failed": True}
        self._save(row, network)
        return record | found

    def _ancestor(self, row: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return the trained network (choices,) whose weights a network begins with; None if there is none."""
        trained = np.array([record["row"] for record in self._records.values() if not record["failed"]], np.int64)
        if not len(trained):
            return None
        able = possible(self.space, trained, np.broadcast_to(row, trained.shape))
        if not able.any():
            if not self.options.approximate:
                return None
            able[:] = True
        blocks = self.space.index.block_ids
        distances = np.where(able, (blocks(trained) != blocks(row[None])).sum(axis=1), np.inf)
        latest: NDArray[np.int64] = trained[len(trained) - 1 - int(distances[::-1].argmin())]
        return latest

    def _heir(self, ancestor: NDArray[np.int64] | None, target: Architecture) -> nn.Module:
        if ancestor is None:
            return self.space.build(target)
        (source,) = self.space.decode(ancestor[None])
        grow = inherit if self.options.approximate else morph
        return grow(self.space, self._load(ancestor), source, target)

    def _save(self, row: NDArray[np.int64], network: nn.Module) -> None:
        content = content_of(network)
        write_atomic(self._path(row), lambda temporary: temporary.write_bytes(content))

    def _load(self, row: NDArray[np.int64]) -> nn.Module:
        (architecture,) = self.space.decode(row[None])
        network = self.space.build(architecture)
        network.load_state_dict(load_file(self._path(row)))
        return network.eval()

    def _path(self, row: NDArray[np.int64]) -> Path:
        (architecture,) = self.space.decode(row[None])
        return self.directory / f"{architecture.id}.safetensors"
