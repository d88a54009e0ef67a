"""`nas design`: which networks to measure on a new device, so that `nas fit` learns most of the others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device, MeasureOptions
from latency_predictors.fingerprint import fingerprint
from latency_predictors.learned.features import Features
from latency_predictors.learned.measured_networks import require_likely, write_device
from latency_predictors.measuring import measure
from latency_predictors.model import UntrainedModels
from latency_predictors.table.latency_table import table_file
from latency_predictors.table.rows import LatencyColumn
from latency_predictors.transfer.design import most_telling
from latency_predictors.transfer.known_device import fit_devices, read_known_networks
from latency_predictors.transfer.transfer import CANDIDATES, Transfer
from nas.config import require_unsaid
from nas.data import DataOptions
from nas.run_directory import begin_run, digest, finish_run, is_finished
from nas.verbs.space_config import SpaceConfig, load_for
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError
from search_spaces.plan_index import Population, distinct
from search_spaces.storage import write_atomic

NETWORKS = "networks.csv"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class DesignConfig:
    """Of which space how many networks are wanted, and what is known."""

    output: Path = Field(description="directory for the list of networks")
    space: SpaceConfig = SpaceConfig()
    data: DataOptions | None = None
    networks: int = Field(default=10, ge=3, le=CANDIDATES, description="how many to measure")
    known: tuple[Path, ...] = Field(
        default=(), description="devices known in this space: files of rows, or output directories of `nas profile`"
    )
    known_latency: LatencyColumn = LatencyColumn()
    device: Device | None = None
    measure: MeasureOptions = MeasureOptions()
    seed: int = Field(default=0, ge=0, description="of the networks to choose from")
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def design(options: DesignConfig) -> dict[str, Any]:
    """Choose the networks that tell most of a new device, and measure them if it is named with --device.runtime.

    They are rows of `networks.csv`. Without a device, fill in the column `latency_ms`. Then `nas fit --measured
    OUTPUT/networks.csv` makes the model, with `--designed` and the same devices as `--known` if there are any.
    """
    if all(path.is_dir() for path in options.known):
        require_unsaid(options, ["known_latency"], "known devices by files of rows")
    if options.device is None:
        require_unsaid(options, ["measure"], "a device to measure on")
    space = options.space.load() if options.data is None else load_for(options.space, options.data)[0]
    known = read_known_networks(options.known, space, options.known_latency)
    candidates = _candidates(space, options)
    features, device, machine = Features(space), options.device, None
    if not is_finished(options.output):
        for one in known:
            require_likely(features, one)
        if device is not None:
            device.require_possible()
            machine = fingerprint(device)  # which there is not where nothing answers
    inputs = {"space": space.id, **{f"known {path.name}": digest(table_file(path)) for path in options.known}}
    if (done := begin_run(options.output, "design", options, inputs, force=options.force)) is not None:
        return done
    transfer = Transfer(features, fit_devices(features, known))
    chosen = space.decode(candidates[most_telling(transfer, candidates, options.networks)])
    path, latencies = options.output / NETWORKS, None
    if device is not None:
        assert machine is not None  # as the run was not finished
        latencies = _measured(space, chosen, device, machine, options.measure)
        write_device(path, device, machine)  # as it was found before: the device may be gone by now
    _write(path, chosen, latencies)
    result = {
        "networks": str(path),
        "measured": latencies is not None,
        "then": f"nas fit --measured {path} {_as_known(options.known)}--space {space.name} ...",
    }
    finish_run(options.output, result)
    return result


def _as_known(paths: Sequence[Path]) -> str:
    return f"--designed --known {','.join(map(str, paths))} " if paths else ""


def _candidates(space: SearchSpace, options: DesignConfig) -> Population:
    """Return the networks (N, choices) to choose from.

    Raises:
        InputError: there are fewer than are wanted.
    """
    drawn = space.canonical(space.sample(4 * CANDIDATES, np.random.default_rng(options.seed)))
    candidates = drawn[distinct(drawn)][:CANDIDATES]
    if len(candidates) < options.networks:
        raise InputError(
            f"networks {options.networks}: {space.name} has {len(candidates)} different ones, ask for fewer"
        )
    return candidates


def _measured(
    space: SearchSpace,
    networks: list[Architecture],
    device: Device,
    machine: Mapping[str, str],
    options: MeasureOptions,
) -> list[float | None]:
    untrained = UntrainedModels(space, device.batch_size, progress=True)
    models = {str(i): model for i, model in enumerate(untrained.of_networks(networks))}
    found = measure(device, models, options=options, machine=machine, resume=True, progress=True)
    return [found[name].quantile_ms for name in models]


def _write(path: Path, networks: list[Architecture], latencies: list[float | None] | None) -> None:
    """Write one row a network, with its latency or room for it."""
    column = pa.array(latencies or [None] * len(networks), pa.float64())
    table = pa.Table.from_pylist([dict(network) for network in networks]).append_column("latency_ms", column)
    write_atomic(path, lambda temporary: pyarrow.csv.write_csv(table, temporary))
