"""The training loop of a supernet: resumable, with checkpoints and records of its progress."""

import dataclasses
import math
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data import Dataset
from nas.evaluation.shared_weights import SharedWeights
from nas.supernet import Supernet
from nas.training.checkpoint import FILE as CHECKPOINT
from nas.training.checkpoint import Checkpoint, load_checkpoint, resumed
from nas.training.descent import Descent, Student
from nas.training.elastic import train_elastically
from nas.training.options import SupernetOptions, torch_device
from nas.training.ranks import Ranks, require_cards
from nas.training.sampling import Moment, load_sampling
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.images import channels_last
from search_spaces.plan_index import Population
from search_spaces.progress import progress_bar
from search_spaces.storage import Journal

METRICS = "metrics.jsonl"
_N_WATCHED = 20  # times that the accuracy of the smallest and largest network is looked at


def train_supernet(
    space: SearchSpace, data: Dataset, directory: Path, options: SupernetOptions, *, progress: bool = True
) -> Supernet:
    """Train shared weights, or go on where an earlier call in the same directory was stopped.

    Writes `supernet.safetensors`, checkpoint and result in one, and `metrics.jsonl`, some twenty records.

    On several ranks, every step is what one process would have made of it, up to rounding. They are processes of this
    machine if `options.ranks` says so; a script that calls this then guards its main part by `__name__`, as all that
    use `multiprocessing`. Where the caller is one of several that torchrun has started and `joined`, it is a rank
    itself, and all see the same directory.

    Raises:
        InputError: the directory holds the training of another space, other data or other options; an option does
            nothing to the data; or ranks die again and again.
    """
    data.require_heeded(options.augmentation)
    ranks = Ranks.here()
    if options.ranks > 1 and ranks.n == 1:
        return _train_elastically(space, data, directory, options, progress)
    torch.manual_seed(options.seed)
    supernet = Supernet(space)
    channels_last(supernet)
    descent = Descent(supernet, data, options, ranks)
    sampling = load_sampling(options.sampling, options.sampling_options)
    start = Checkpoint(0, descent.n_steps, space.to_json(), dataclasses.asdict(options), describe(data), {}, {})
    with ranks.first_alone():  # what it mends, the others find whole
        memory = _resume(descent, start, directory)
    watched = SharedWeights(supernet, data, n_validation=data.n_statistics, n_statistics=data.n_statistics // 2)
    bar = progress_bar(descent.n_steps, "train", "step", done=descent.step, show=progress and ranks.is_first)
    with Journal(directory / METRICS) as metrics, bar:
        saved = time.monotonic()
        while descent.step < descent.n_steps:
            draw = sampling.draw(_moment(descent, supernet, memory))
            loss = descent.descend(_students(supernet, draw.architectures), distil=draw.distil)
            memory = draw.memory
            bar.update()
            if not ranks.is_first:
                continue
            if _is_watched(descent):
                record = _record(descent, watched, loss)
                metrics.append([record])
                bar.set_postfix({name: f"{record[name]:.3f}" for name in ("loss", "smallest", "largest")})
            if time.monotonic() - saved > options.checkpoint_seconds or descent.step == descent.n_steps:
                now = dataclasses.replace(start, step=descent.step, sampling=memory)
                weights, optimizer = supernet.state_dict(), descent.optimizer_state()
                dataclasses.replace(now, weights=weights, optimizer=optimizer).save(directory)
                saved = time.monotonic()
    supernet.eval()
    return supernet


def _train_elastically(
    space: SearchSpace, data: Dataset, directory: Path, options: SupernetOptions, progress: bool
) -> Supernet:
    device, batch_size = torch_device(options.device), min(options.batch_size, len(data.train))
    if batch_size < options.ranks:
        raise InputError(f"a batch of {batch_size} {data.examples} is shared by {options.ranks} ranks: say fewer ranks")
    if device.type == "cuda":
        require_cards(options.ranks)
    train = partial(train_supernet, space, data, directory, options, progress=progress)
    train_elastically(train, options.ranks, device, directory / CHECKPOINT)
    return load_checkpoint(directory)[0].supernet().to(device).eval()


def describe(data: Dataset) -> dict[str, Any]:
    """Return what a later step must know of the data that weights were trained on."""
    return {
        **data.describe(),
        **{name: getattr(data, name) for name in ("name", "fingerprint", "classes")},
        "options": dataclasses.asdict(data.options),
    }


def _moment(descent: Descent, supernet: Supernet, memory: Mapping[str, Tensor]) -> Moment:
    """Return what the draw of the next step may go by."""

    def losses(population: Population, n_examples: int | None) -> NDArray[np.float64]:
        students = _students(supernet, supernet.space.decode(population))
        return np.array(descent.losses(students, n_examples))

    rng = np.random.default_rng([descent.options.seed, descent.step])
    return Moment(supernet.space, rng, descent.step / descent.n_steps, losses, memory)


def _students(supernet: Supernet, architectures: Iterable[Architecture]) -> list[Student]:
    space = supernet.space
    return [Student(supernet.network(a), partial(space.prepare, architecture=a)) for a in architectures]


def _is_watched(descent: Descent) -> bool:
    """Tell whether to look at accuracy after this step: at the end of some epochs, and of the last."""
    epoch, within = divmod(descent.step, descent.steps_per_epoch)
    return within == 0 and (descent.options.epochs - epoch) % math.ceil(descent.options.epochs / _N_WATCHED) == 0


def _record(descent: Descent, watched: SharedWeights, loss: float) -> dict[str, Any]:
    """Return what to remember of an epoch: loss, and the validation score of the smallest and the largest network."""
    space = watched.space
    population = space.encode([space.smallest(), space.largest()])
    smallest, largest = watched.evaluate(population)[watched.metrics[0]].tolist()
    epoch = descent.step // descent.steps_per_epoch
    return {"step": descent.step, "epoch": epoch, "loss": loss, "smallest": smallest, "largest": largest}


def _resume(descent: Descent, start: Checkpoint, directory: Path) -> Mapping[str, Tensor]:
    """Bring the descent to the state of the directory's checkpoint, if there is one of this very training.

    Returns:
        what the sampling remembers.
    """
    found = resumed(directory, start)
    if found:
        descent.model.load_state_dict(dict(found.weights))
        descent.set_optimizer_state(found.optimizer)
        descent.step = found.step
    _forget_later_records(directory / METRICS, descent.step)
    return found.sampling if found else {}


def _forget_later_records(path: Path, step: int) -> None:
    """Drop the records of epochs after the checkpoint: they will be written again."""
    with Journal(path) as journal:
        records = journal.recovered
    if any(record["step"] > step for record in records):
        path.unlink()
        with Journal(path) as journal:
            journal.append(record for record in records if record["step"] <= step)
