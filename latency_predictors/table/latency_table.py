"""A latency table: every block of a space measured on a device, calibrated and tested on whole networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import scipy  # loads its parts when they are used, and its statistics alone take 0.9 s
from numpy.typing import NDArray

import search_spaces
from latency_predictors.cost_model import BlockCost, margin_of
from latency_predictors.device import STATISTIC, Device, Measurement
from latency_predictors.latencies import entries, measurements, positive, require_stated
from latency_predictors.latency_model import LatencyModel
from latency_predictors.on_device.kit import UNIT
from latency_predictors.table.calibration import Calibration, block_features
from search_spaces import Architecture, SearchSpace
from search_spaces.errors import InputError
from search_spaces.storage import read_json, write_json

T = TypeVar("T")

TABLE = "table.json"
"""What a table is called in an output directory."""

_STATED = {"unit": UNIT, "statistic": STATISTIC}


@dataclass(frozen=True)
class MeasuredNetwork:
    """A whole network and its latency in two separate passes, in ms."""

    architecture: Architecture
    latency_ms: float
    repeated_ms: float


@dataclass(frozen=True)
class Errors:
    """How far predictions are from networks that were not used for calibration, beside the machine's own noise.

    Attributes:
        n_networks: held-out networks.
        mean_absolute: mean of |predicted / measured - 1|.
        median_absolute: median of the same.
        spearman: rank correlation of predicted and measured, 0 where all predictions are equal.
        drift: median of second pass / first pass - 1 of the same networks: the machine became so much slower.
        noise: mean of |second pass / first pass - 1| of the same networks, the drift taken out.
        noise_spearman: rank correlation of the two passes.
        margin: by how much the slower of both passes exceeds the prediction at most, relative to it, of 95 % of new
            networks, or n / (n + 1) by n < 19 networks (see `margin_of`): by so much a search tightens its budget.
            What the machine drifts while it is profiled, it may drift later.
    """

    n_networks: int
    mean_absolute: float
    median_absolute: float
    spearman: float
    drift: float
    noise: float
    noise_spearman: float
    margin: float


@dataclass(frozen=True)
class LatencyTable(LatencyModel):
    """Latencies in ms of all blocks of a space on a device.

    Attributes:
        space: the space that was profiled.
        device: what it was profiled on.
        fingerprint: of the machine and its software.
        blocks: measurements by block key, the block's `repr`.
        calibration_networks: whole networks that the calibration was fitted to.
        held_out_networks: whole networks that it was tested on.
        noise_floor: relative standard deviation of one network's latency, measured several times; None if it was not.
        interpolation_error: mean relative error of measured blocks by the others, where some of the blocks are
            interpolated; None where all were measured.
    """

    schema: ClassVar[str] = "latency-table/1"

    space: SearchSpace
    device: Device
    fingerprint: Mapping[str, str]
    blocks: Mapping[str, Measurement]
    calibration_networks: Sequence[MeasuredNetwork]
    held_out_networks: Sequence[MeasuredNetwork]
    noise_floor: float | None = None
    interpolation_error: float | None = None

    def cost_model(self, space: SearchSpace | None = None) -> BlockCost:
        """Return the calibrated latency of a space's networks, with the margin that held-out networks call for.

        Args:
            space: the space whose populations are to be predicted; the table's own by default.

        Raises:
            InputError: the table lacks a block of the space.
        """
        features = self._features(space or self.space)
        calibration = self._calibration()
        values = calibration.block_values(features)
        constant, margin = calibration.constant, self.errors().margin
        return BlockCost(space or self.space, "latency_ms", values, constant=constant, margin=margin)

    def errors(self) -> Errors:
        """Return how well the calibrated table predicts the held-out networks."""
        networks = self.held_out_networks
        calibration = self._calibration()
        sums = self._network_features(networks)
        predicted = calibration.block_values(sums) + calibration.constant
        measured = np.array([network.latency_ms for network in networks])
        repeated = np.array([network.repeated_ms for network in networks])
        drift = float(np.median(repeated / measured))
        return Errors(
            n_networks=len(networks),
            mean_absolute=float(np.abs(predicted / measured - 1).mean()),
            median_absolute=float(np.median(np.abs(predicted / measured - 1))),
            spearman=_rank_correlation(predicted, measured),
            drift=drift - 1,
            noise=float(np.abs(repeated / measured / drift - 1).mean()),
            noise_spearman=_rank_correlation(repeated, measured),
            margin=margin_of(np.maximum(measured, repeated), predicted),
        )

    def tested(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        networks = self.held_out_networks
        population = self.space.encode([network.architecture for network in networks])
        return np.array([network.latency_ms for network in networks]), self.cost_model().predict(population)

    def on_device(self, device: Device) -> "LatencyTable":
        return replace(self, device=device)

    def _calibration(self) -> Calibration:
        measured = np.array([network.latency_ms for network in self.calibration_networks])
        return Calibration.fit(self._network_features(self.calibration_networks), measured)

    def _network_features(self, networks: Sequence[MeasuredNetwork]) -> dict[str, NDArray[np.float64]]:
        """Return the features of each network's blocks, added up, (networks,) each."""
        population = self.space.encode([network.architecture for network in networks])
        features = self._features(self.space)
        return {name: self.space.index.summed(column)(population) for name, column in features.items()}

    def _features(self, space: SearchSpace) -> dict[str, NDArray[np.float64]]:
        latencies_ms = [measurement.quantile_ms for measurement in entries_of_blocks(self.blocks, self.space, space)]
        return block_features(space.index.blocks, np.array(latencies_ms))

    def save(self, path: Path) -> None:
        """Write the table as JSON, with its errors for people to read."""
        write_json(
            path,
            self.schema,
            {
                **_STATED,
                "space": self.space.to_json(),
                "device": self.device.to_json(),
                "fingerprint": dict(self.fingerprint),
                "errors": vars(self.errors()),
                "noise_floor": self.noise_floor,
                "interpolation_error": self.interpolation_error,
                "calibration": self._calibration().to_json(),
                "calibration_networks": [_network_to_json(network) for network in self.calibration_networks],
                "held_out_networks": [_network_to_json(network) for network in self.held_out_networks],
                "blocks": entries(self.blocks),
            },
        )

    @classmethod
    def load(cls, path: Path) -> "LatencyTable":
        """Read a table that `save` wrote.

        Raises:
            InputError: the file is missing or damaged, follows another schema, or holds a latency that is none.
        """
        document = read_json(path, cls.schema)
        origin = f"latency table {path}"
        require_stated(document, _STATED, origin)
        try:
            return cls(
                space=search_spaces.from_json(document["space"]),
                device=Device.from_json(document["device"]),
                fingerprint=dict(document["fingerprint"]),
                blocks=measurements(document["blocks"], f"{origin},"),
                calibration_networks=_networks_from_json(document, "calibration_networks", origin),
                held_out_networks=_networks_from_json(document, "held_out_networks", origin),
                noise_floor=_number_or_none(document.get("noise_floor")),
                interpolation_error=_number_or_none(document.get("interpolation_error")),
            )
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path} is not a whole latency table ({error!r}): profile again") from None


def table_file(path: Path) -> Path:
    """Return the table in an output directory of `nas profile`, or the file itself."""
    return path / TABLE if path.is_dir() else path


def read_table(folder: Path) -> LatencyTable:
    """Return the table in an output directory of `nas profile`.

    Raises:
        InputError: there is none, or it cannot be read; see `LatencyTable.load`.
    """
    path = table_file(folder)
    if not path.exists():
        raise InputError(
            f"{folder} is a folder without {TABLE}: give a file of rows, or an output directory of nas profile"
        )
    return LatencyTable.load(path)


def entries_of_blocks(entries: Mapping[str, T], known: SearchSpace, space: SearchSpace) -> list[T]:
    """Return a table's entries for a space's blocks, in the order of `space.index.blocks`.

    Args:
        entries: by block key, the block's `repr`.
        known: the space that the table is of.
        space: whose blocks are looked up.

    Raises:
        InputError: names the first block that is missing.
    """
    for block in space.index.blocks:
        if repr(block) not in entries:
            raise InputError(
                f"the latency table of {known.to_json()} lacks {block!r} of {space.to_json()}: "
                "profile this space, with these options"
            )
    return [entries[repr(block)] for block in space.index.blocks]


def _rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return Spearman's coefficient; 0 where one of them is constant, which has no ranks."""
    return float(scipy.stats.spearmanr(one, other).statistic) if np.ptp(one) and np.ptp(other) else 0.0


def _number_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


def _network_to_json(network: MeasuredNetwork) -> dict[str, Any]:
    return {**vars(network), "architecture": dict(network.architecture)}


def _networks_from_json(document: Mapping[str, Any], name: str, origin: str) -> list[MeasuredNetwork]:
    if not document[name]:
        raise InputError(f"{origin}: no {name}, expected at least one: profile again")
    return [_network_from_json(entry, f"{origin}: {name}, {i}") for i, entry in enumerate(document[name])]


def _network_from_json(entry: Mapping[str, Any], origin: str) -> MeasuredNetwork:
    latencies = (positive(entry[name], f"{origin}: {name} is") for name in ("latency_ms", "repeated_ms"))
    return MeasuredNetwork(Architecture(entry["architecture"]), *latencies)
