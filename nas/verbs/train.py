"""`nas train`: a supernet trained on a data set."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from nas.data import DataOptions
from nas.evaluation.shared_weights import SharedWeights
from nas.run_directory import begin_run, finish_run
from nas.training import SupernetOptions, train_supernet
from nas.training.options import torch_device
from nas.training.ranks import Ranks, joined
from nas.verbs.space_config import SpaceConfig, load_for
from search_spaces.errors import InputError


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrainConfig:
    """What is trained, on what, and how."""

    data: DataOptions
    output: Path = Field(description="directory for the supernet; an interrupted training in it is continued")
    space: SpaceConfig = SpaceConfig()
    train: SupernetOptions = SupernetOptions()
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def train(options: TrainConfig) -> dict[str, Any]:
    """Train the shared weights of all networks of a space.

    Where torchrun has started this on several machines, all see the same output directory.
    """
    with joined(torch_device(options.train.device)) as ranks:
        if ranks.n > 1 and options.train.ranks > 1:
            raise InputError(f"train ranks {options.train.ranks}: torchrun has started {ranks.n}; leave ranks out")
        return _train(options, ranks)


def _train(options: TrainConfig, ranks: Ranks) -> dict[str, Any]:
    space, data = load_for(options.space, options.data)
    data.require_heeded(options.train.augmentation)
    done = None
    if ranks.is_first:
        done = begin_run(options.output, "train", options, {"data": data.fingerprint}, force=options.force)
    if ranks.tell(done is not None):
        return done or {}
    supernet = train_supernet(space, data, options.output, options.train)
    if not ranks.is_first:
        return {}
    extremes = space.encode([space.smallest(), space.largest()])
    metric = data.metrics[0]
    smallest, largest = SharedWeights(supernet, data).evaluate(extremes)[metric].tolist()
    result = {
        "supernet": str(options.output),
        "data": data.name,
        f"training_{data.examples}": len(data.train),
        f"validation_{data.examples}": len(data.validation),
        f"skipped_{data.examples}": len(data.skipped),
        f"validation_{metric}_smallest": smallest,
        f"validation_{metric}_largest": largest,
    }
    finish_run(options.output, result)
    return result
