"""`nas fit`: a latency model of a device that was measured on some whole networks, without a table."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import scipy
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from latency_predictors.cost_model import CostModel
from latency_predictors.device import Device
from latency_predictors.fingerprint import fingerprint
from latency_predictors.latency_model import doubts
from latency_predictors.learned.features import Features
from latency_predictors.learned.learned_latency import FEWEST, LearnedLatency
from latency_predictors.learned.measured_networks import (
    MeasuredNetworks,
    device_file,
    of_table,
    read_measured_networks,
    require_likely,
)
from latency_predictors.learned.predicted_cost import PredictedCost, require_measurements
from latency_predictors.saved_models import MODEL, model_file, read_latency_model
from latency_predictors.table.latency_table import TABLE, read_table, table_file
from latency_predictors.table.published import read_block_latencies
from latency_predictors.table.rows import LatencyColumn
from latency_predictors.transfer.known_device import KnownDevice, fit_devices, read_known_networks
from latency_predictors.transfer.transfer import MOST
from latency_predictors.transfer.transferred_latency import FEWEST_TO_TRANSFER, TransferredLatency
from nas.config import require_unsaid
from nas.data import DataOptions
from nas.run_directory import begin_run, digest, finish_run, is_finished
from nas.verbs.space_config import SpaceConfig, load_for
from search_spaces import SearchSpace
from search_spaces.errors import InputError

_SHOWN = 3
_PUBLISHED = (".yaml", ".yml")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FitConfig:
    """What was measured, of which space, and what else is known."""

    measured: Path = Field(
        description="Parquet, CSV or JSON, a row a network, a column a choice; an output directory of `nas profile`; "
        "or the YAML of a published table of blocks"
    )
    output: Path = Field(description="directory for the model")
    space: SpaceConfig | None = None
    data: DataOptions | None = None
    latency: LatencyColumn = LatencyColumn()
    known: tuple[Path, ...] = Field(
        default=(),
        description="other devices in the same space to learn from: files of rows, or directories of `nas profile`",
    )
    known_latency: LatencyColumn = LatencyColumn()
    elsewhere: Path | None = Field(
        default=None,
        description="output directory of `nas fit` for the device in another space, beside devices of the same names",
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
    if options.measured.suffix in _PUBLISHED:
        return _published(options)
    if options.measured.is_dir():
        require_unsaid(options, ["latency"], "a file of rows")
    if all(path.is_dir() for path in options.known):
        require_unsaid(options, ["known_latency"], "known devices by files of rows")
    if options.measured.resolve() in [path.resolve() for path in options.known]:
        raise InputError(f"{options.measured} is measured and known: leave it out of --known, the device is its own")
    space, measured = _measured(options)
    known = read_known_networks(options.known, space, options.known_latency)
    method, device = _method(options, len(measured.population)), _device(options, measured)
    fewest = FEWEST if method == "learned" else FEWEST_TO_TRANSFER
    require_measurements(space, measured.population, measured.latencies_ms, fewest, str(options.measured))
    elsewhere = None if options.elsewhere is None else _elsewhere(options.elsewhere, space)
    paths = {"measured": options.measured, **{f"known {path.name}": path for path in options.known}}
    inputs = {"space": space.id, **{name: digest(table_file(path)) for name, path in paths.items()}}
    if (beside := device_file(options.measured)).exists():
        inputs["device"] = digest(beside)
    inputs |= {} if options.elsewhere is None else {"elsewhere": digest(model_file(options.elsewhere))}
    features, machine = Features(space), measured.fingerprint
    if not is_finished(options.output):
        for one in (measured, *known):
            require_likely(features, one)
        if device is not None and machine is None:
            device.require_possible()
            machine = fingerprint(device)
    if (done := begin_run(options.output, "fit", options, inputs, force=options.force)) is not None:
        return done
    if method == "transferred":
        shares = None if elsewhere is None else elsewhere.adds_up
        model, told = _transferred(features, measured, fit_devices(features, known), shares, designed=options.designed)
    else:
        model, told = _learned(features, measured, options.seed)
    model = model.measured_on(device, machine)
    path = options.output / MODEL
    told = {"model": str(path), "networks": len(measured.population), **told, **_foretold(options.measured, model)}
    model.save(path)
    finish_run(options.output, told)
    return told


def _foretold(measured: Path, model: CostModel) -> dict[str, float]:
    """Return the margin of a model, and what it says of the fastest network and the slowest.

    Raises:
        InputError: networks may take twice as long as predicted, or some are predicted to take no time or less; see
            `doubts`.
    """
    fastest_ms, slowest_ms = model.cheapest()[0], model.dearest()[0]
    if (doubt := doubts(model.margin, fastest_ms)) is not None:
        raise InputError(
            f"{measured}: {doubt}: expected one device, one unit, and networks that were measured more than once if "
            "the device is that noisy"
        )
    return {"margin": model.margin, "fastest_ms": fastest_ms, "slowest_ms": slowest_ms}


def _published(options: FitConfig) -> dict[str, Any]:
    """Keep a published table of blocks as a model, to which nothing is fitted.

    Raises:
        InputError: the space or the unit is not said, the table is of another space, or another option does nothing.
    """
    others = ["known", "known_latency", "elsewhere", "method", "designed", "device", "seed"]
    require_unsaid(options, others, "measured networks")
    require_unsaid(options.latency, ["name"], "a file of rows", of=("latency",))
    if options.latency.unit is None:
        raise InputError(f"{options.measured} does not say its unit: give --latency.unit us, ms or s")
    space = _space(options)
    table = read_block_latencies(options.measured, space, options.latency.unit)
    inputs = {"space": space.id, "measured": digest(options.measured)}
    if (done := begin_run(options.output, "fit", options, inputs, force=options.force)) is not None:
        return done
    path = options.output / TABLE
    told = {"model": str(path), "blocks": len(table.latencies_ms), "method": "published"}
    told |= _foretold(options.measured, table.cost_model(space))
    table.save(path)
    finish_run(options.output, told)
    return told


def _space(options: FitConfig) -> SearchSpace:
    """Return the space that is named.

    Raises:
        InputError: none is.
    """
    if options.space is None and options.data is None:
        raise InputError(f"{options.measured} does not say of which space it is: give --space and its options")
    asked = options.space or SpaceConfig()
    return asked.load() if options.data is None else load_for(asked, options.data)[0]


def _measured(options: FitConfig) -> tuple[SearchSpace, MeasuredNetworks]:
    """Return the measured networks, and the space that they are of.

    Raises:
        InputError: they cannot be read, or the space is not said or another.
    """
    if not options.measured.is_dir():
        space = _space(options)
        return space, read_measured_networks(options.measured, space, options.latency)
    table = read_table(options.measured)
    if (options.space or options.data) is not None and (space := _space(options)).id != table.space.id:
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
        InputError: another option does nothing then, or there are more networks than known devices are transferred to.
    """
    method = options.method or ("transferred" if options.known or n < FEWEST else "learned")
    if method == "transferred":
        if n > MOST:
            raise InputError(
                f"{options.measured} holds {n} measured networks, expected at most {MOST} for method transferred: "
                "learn from all of them with --method learned, without --known, or keep so many"
            )
        require_unsaid(options, ["seed"], "method learned")
        if not options.known:
            require_unsaid(options, ["designed", "elsewhere"], "known devices")
    else:
        require_unsaid(options, ["known", "designed", "elsewhere"], "method transferred")
    return method


def _elsewhere(path: Path, space: SearchSpace) -> TransferredLatency:
    """Return the device's model in another space than the one that is fitted.

    Raises:
        InputError: it cannot be read, is of another kind, or of the same space, whose measurements would count twice.
    """
    model = read_latency_model(path)
    if not isinstance(model, TransferredLatency) or not model.adds_up:
        alone = " of no known devices" if isinstance(model, TransferredLatency) else ""
        raise InputError(
            f"{path} holds a {model.schema}{alone}, which does not say what the device adds up to: fit it there with "
            "known devices and --method transferred"
        )
    if model.space.id == space.id:
        raise InputError(
            f"{path} is of the space that is fitted, {space.to_json()}: expected the device's model in another; what "
            "is known here goes by --known, of other devices, and by --measured, of this one"
        )
    return model


def _transferred(
    features: Features,
    measured: MeasuredNetworks,
    known: list[KnownDevice],
    resembles: Mapping[str, float] | None,
    *,
    designed: bool,
) -> tuple[PredictedCost, dict[str, Any]]:
    """Return the model, and what a person wants to know of it."""
    given = measured.population, measured.latencies_ms
    model = TransferredLatency.fit(features, known, *given, designed=designed, resembles=resembles)
    found = model.posterior
    likely = sorted(found.resembles.items(), key=lambda one: -one[1])[:_SHOWN]
    return model, {
        "method": "transferred",
        "resembles": dict(likely),
        "runs_networks_as": max(found.forms, key=found.forms.__getitem__),
    }


def _learned(features: Features, measured: MeasuredNetworks, seed: int) -> tuple[PredictedCost, dict[str, Any]]:
    """Return the model, and what a person wants to know of it."""
    learned = LearnedLatency.fit(features, measured.population, measured.latencies_ms, seed=seed)
    return learned, {
        "method": "learned",
        "regression": learned.kind,
        "mean_absolute": learned.errors[learned.kind],
        "spearman": float(scipy.stats.spearmanr(*learned.tested()).statistic),
        "errors": learned.errors,
        "interval": learned.width,
    }
