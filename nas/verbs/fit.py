"""`nas fit`: a latency model of a device that was measured on some whole networks, without a table."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import scipy
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.device import Device
from latency_predictors.fingerprint import fingerprint
from latency_predictors.learned.features import Features
from latency_predictors.learned.learned_latency import FEWEST, LearnedLatency
from latency_predictors.learned.measured_networks import MeasuredNetworks, of_table, read_measured_networks
from latency_predictors.learned.predicted_cost import PredictedCost
from latency_predictors.saved_models import MODEL, model_file
from latency_predictors.table.latency_table import LatencyTable
from latency_predictors.table.rows import LatencyColumn
from latency_predictors.transfer.known_device import KnownDevice, read_known_devices
from latency_predictors.transfer.transferred_latency import TransferredLatency
from nas.config import require_unsaid
from nas.data import DataOptions
from nas.run_directory import begin_run, digest, finish_run
from nas.verbs.space_config import SpaceConfig, load_for
from search_spaces import SearchSpace
from search_spaces.errors import InputError

_SHOWN = 3


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FitConfig:
    """What was measured, of which space, and what else is known."""

    measured: Path = Field(
        description="Parquet, CSV or JSON, a row a network, a column a choice; or an output directory of `nas profile`"
    )
    output: Path = Field(description="directory for the model")
    space: SpaceConfig | None = None
    data: DataOptions | None = None
    latency: LatencyColumn = LatencyColumn()
    known: tuple[Path, ...] = Field(
        default=(), description="other devices in the same space to learn from, each as `measured` is given"
    )
    method: Literal["learned", "transferred"] | None = Field(
        default=None, description="unset: transferred with known devices or few networks, else learned"
    )
    designed: bool = Field(default=False, description="whether `nas design` chose the networks that were measured")
    device: Device | None = None
    seed: int = Field(default=0, ge=0, description="of the regressions")
    force: bool = Field(default=False, description="take the directory over from a process that you know is dead")


def fit(options: FitConfig) -> dict[str, Any]:
    """Learn a device's latencies from measured networks, and from other devices, as a model for `nas search --table`.

    Name the device with `--device.runtime` and what else it has if found networks can be measured on it from here, here
    itself or with `--device.host`; else a search takes them as they are predicted. The model remembers that machine, or
    that of a table, and is refused on another.
    """
    if all(path.is_dir() for path in (options.measured, *options.known)):
        require_unsaid(options, ["latency"], "files of rows")
    space, measured = _measured(options)
    features = Features(space)
    known = read_known_devices(options.known, features, options.latency)
    method, device = _method(options, len(measured.population)), _device(options, measured)
    paths = {"measured": options.measured, **{f"known {path.name}": path for path in options.known}}
    inputs = {"space": space.id, **{name: digest(model_file(path)) for name, path in paths.items()}}
    if (done := begin_run(options.output, "fit", options, inputs, force=options.force)) is not None:
        return done
    model, told = _fitted(options, method, features, measured, known)
    machine = measured.fingerprint or (None if device is None else fingerprint(device))
    model = model.measured_on(device, machine)
    path = options.output / MODEL
    model.save(path)
    result = {
        "model": str(path),
        "networks": len(measured.population),
        **told,
        "margin": model.margin,
        "fastest_ms": model.cheapest()[0],
        "slowest_ms": model.dearest()[0],
    }
    finish_run(options.output, result)
    return result


def _measured(options: FitConfig) -> tuple[SearchSpace, MeasuredNetworks]:
    """Return the measured networks, and the space that they are of.

    Raises:
        InputError: they cannot be read, or the space is not said or another.
    """
    space = None
    if options.space is not None or options.data is not None:
        asked = options.space or SpaceConfig()
        space = asked.load() if options.data is None else load_for(asked, options.data)[0]
    if not options.measured.is_dir():
        if space is None:
            raise InputError(f"{options.measured} does not say of which space it is: give --space and its options")
        return space, read_measured_networks(options.measured, space, options.latency)
    table = LatencyTable.load(model_file(options.measured))
    if space is not None and space.id != table.space.id:
        raise InputError(
            f"{options.measured} is of {table.space.to_json()}, not of {space.to_json()}: leave out --space"
        )
    return table.space, of_table(table, options.measured.name)


def _device(options: FitConfig, measured: MeasuredNetworks) -> Device | None:
    """Return what found networks are measured on: the device that is named, or that of a table.

    Raises:
        InputError: another device is named than that of the table, not the same in another place.
    """
    named, known = options.device, measured.device
    if named is None or known is None:
        return named or known
    there = dataclasses.replace(known, host=named.host or known.host)
    for name, value in there.to_json().items():
        if name != "host" and value != (asked := getattr(named, name)):
            raise InputError(
                f"{options.measured} was measured with device {name} {value}, not {asked}: "
                f"say --device.{name} {value}, or leave out --device"
            )
    return there


def _method(options: FitConfig, n: int) -> str:
    """Return how the model of n measured networks is made.

    Raises:
        InputError: another option does nothing then.
    """
    method = options.method or ("transferred" if options.known or n < FEWEST else "learned")
    if method == "transferred":
        require_unsaid(options, ["seed"], "method learned")
    else:
        require_unsaid(options, ["known", "designed"], "method transferred")
    return method


def _fitted(
    options: FitConfig, method: str, features: Features, measured: MeasuredNetworks, known: list[KnownDevice]
) -> tuple[PredictedCost, dict[str, Any]]:
    """Return the model, and what a person wants to know of it."""
    given = measured.population, measured.latencies_ms
    if method == "transferred":
        transferred = TransferredLatency.fit(features, known, *given, designed=options.designed)
        found = transferred.posterior
        likely = sorted(found.resembles.items(), key=lambda one: -one[1])[:_SHOWN]
        return transferred, {
            "method": method,
            "resembles": dict(likely),
            "runs_networks_as": max(found.forms, key=found.forms.__getitem__),
        }
    learned = LearnedLatency.fit(features, *given, seed=options.seed)
    return learned, {
        "method": method,
        "regression": learned.kind,
        "mean_absolute": learned.errors[learned.kind],
        "spearman": float(scipy.stats.spearmanr(*learned.tested()).statistic),
        "errors": learned.errors,
        "interval": learned.width,
    }
