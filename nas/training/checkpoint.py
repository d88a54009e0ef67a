"""A supernet in training as one safetensors file: weights, optimiser, and all that says what it belongs to."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

import search_spaces
from nas.run_directory import material
from nas.supernet import Supernet
from search_spaces import SearchSpace
from search_spaces.errors import InputError
from search_spaces.storage import require_same, write_atomic

FILE = "supernet.safetensors"
_SCHEMA = "supernet/2"
_TENSORS = ("weights", "optimizer", "sampling")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """Shared weights after `step` of `n_steps`, of a space, on a data set.

    Attributes:
        space: `SearchSpace.to_json()`.
        options: the training options, as plain values.
        data: name, fingerprint, classes, mean, std of the data set.
        weights: the supernet's state by name.
        optimizer: what the optimiser remembers of each parameter, by name.
        sampling: what the sampling remembers, by name.
    """

    step: int
    n_steps: int
    space: Mapping[str, Any]
    options: Mapping[str, Any]
    data: Mapping[str, Any]
    weights: Mapping[str, Tensor] = field(repr=False)
    optimizer: Mapping[str, Tensor] = field(repr=False)
    sampling: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    def save(self, directory: Path) -> None:
        """Write the checkpoint whole, keeping the one before it."""
        path = directory / FILE
        header = {name: getattr(self, name) for name in ("step", "n_steps", "space", "options", "data")}
        tensors = {
            f"{kind}.{name}": tensor.contiguous() for kind in _TENSORS for name, tensor in getattr(self, kind).items()
        }
        metadata = {"schema": _SCHEMA, "header": json.dumps(header)}
        if path.exists():
            path.replace(_previous(path))
        content = save(tensors, metadata)  # as bytes, since safetensors tells a full disk in an error of its own
        write_atomic(path, lambda temporary: temporary.write_bytes(content))

    @cached_property
    def search_space(self) -> SearchSpace:
        """The space, that of `supernet` too."""
        return search_spaces.from_json(self.space)

    def supernet(self) -> Supernet:
        """Return the supernet with these weights."""
        supernet = Supernet(self.search_space)
        supernet.load_state_dict(dict(self.weights))
        return supernet


def load_checkpoint(directory: Path) -> tuple[Checkpoint, str | None]:
    """Read the newest whole checkpoint of a directory.

    Returns:
        The checkpoint, and a sentence if a newer one was damaged and passed over.

    Raises:
        InputError: there is none, or none that is whole.
    """
    path = directory / FILE
    found = [candidate for candidate in (path, _previous(path)) if candidate.exists()]
    if not found:
        raise InputError(f"{directory} holds no {FILE}: train a supernet there first")
    damage: str | None = None
    for candidate in found:
        try:
            return _read(candidate), damage
        except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            reason = str(error).splitlines()[0]
            damage = damage or f"{candidate} is damaged ({reason}): going on from the checkpoint before it"
    raise InputError(f"{path} is damaged and no earlier checkpoint is whole: delete {directory} and train again")


def resumed(directory: Path, start: Checkpoint) -> Checkpoint | None:
    """Return the checkpoint to go on from, or None where there is none yet.

    Args:
        directory: of the training.
        start: what the training would begin with.

    Raises:
        InputError: the directory holds the training of another space, on other data or with other options.
    """
    if not list(directory.glob(f"*{FILE}")):
        return None
    found, damage = load_checkpoint(directory)
    for name in ("space", "data", "options"):
        recorded, asked = (material(getattr(checkpoint, name)) for checkpoint in (found, start))
        require_same(f"the training in {directory}", recorded, asked)
    if damage:
        logger.warning(damage)
        (directory / FILE).unlink()  # or the next checkpoint would put it in the place of the whole one
    return found


def content_of(network: nn.Module) -> bytes:
    """Return a network's weights and statistics as a safetensors file holds them, the same wherever they lie."""
    return save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("schema") != _SCHEMA:
            raise InputError(f"{path} follows schema {metadata.get('schema')!r}, expected {_SCHEMA!r}: train again")
        tensors: dict[str, dict[str, Tensor]] = {kind: {} for kind in _TENSORS}
        for name in file.keys():  # noqa: SIM118  # not a dictionary
            kind, _, rest = name.partition(".")
            tensors[kind][rest] = file.get_tensor(name)
    header: dict[str, Any] = json.loads(metadata["header"])
    return Checkpoint(**{**header, **tensors})


def _previous(path: Path) -> Path:
    return path.with_name(f"previous-{path.name}")
