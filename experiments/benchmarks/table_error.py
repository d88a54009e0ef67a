"""How well a latency table predicts whole networks, beside what simpler ways make of the same measurements.

    python -m experiments.benchmarks.table_error --space ofa_mobilenet_v3 --resolutions 128 160 192 224
    python -m experiments.benchmarks.table_error --runtime openvino --precision int8

Profiles the space on this machine, into a directory that a later call goes on with if one is given. Errors are those of
held-out networks. Below them stands how far a second measurement of the same networks is from the first, and what is
left of that without the drift that all of them share, as a table's blocks and networks are measured side by side.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import search_spaces
from experiments.command import one_line
from latency_predictors import runtimes
from latency_predictors.cost_model import margin_of
from latency_predictors.device import Device, MeasureOptions
from latency_predictors.profile import ProfileOptions, profile
from latency_predictors.table.calibration import Calibration
from latency_predictors.table.latency_table import LatencyTable, MeasuredNetwork


def sums_ms(table: LatencyTable, networks: Sequence[MeasuredNetwork]) -> NDArray[np.float64]:
    """Return (networks,): the sum of each network's blocks as they were measured alone."""
    index = table.space.index
    alone_ms = np.array([table.blocks[repr(block)].quantile_ms for block in index.blocks])
    return index.summed(alone_ms)(table.space.encode([network.architecture for network in networks]))


def measured_ms(networks: Sequence[MeasuredNetwork]) -> NDArray[np.float64]:
    """Return (networks,)."""
    return np.array([network.latency_ms for network in networks])


def affine_ms(table: LatencyTable) -> NDArray[np.float64]:
    """Return what a multiple of the sum and a constant, fitted to the calibration networks, predict."""
    fitted, held_out = ({"ms": sums_ms(table, part)} for part in (table.calibration_networks, table.held_out_networks))
    found = Calibration.of_form("affine", fitted, measured_ms(table.calibration_networks))
    return found.block_values(held_out) + found.constant


def row(name: str, predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> str:
    """Return mean absolute error, networks within 5 and 10 %, rank correlation and margin as one line of the table."""
    errors = np.abs(predicted / measured - 1)
    shares = "".join(f"{np.mean(errors <= bound):10.0%}" for bound in (0.05, 0.1))
    margin = margin_of(measured, predicted)
    return f"{name:24}{errors.mean():10.2%}{shares}{spearmanr(predicted, measured).statistic:12.4f}{margin:10.2%}"


def main() -> None:
    """Profile a space and tell the errors of its table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--space", default="mobilenet_v3_32", choices=search_spaces.names())
    parser.add_argument("--resolutions", type=int, nargs="+", help="of spaces that have such an option")
    parser.add_argument("--directory", type=Path, help="where the profile is kept; a temporary one by default")
    parser.add_argument("--runtime", default=Device().runtime, choices=runtimes.names())
    parser.add_argument("--precision", default=Device().precision)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calibration", type=int, default=ProfileOptions().n_calibration)
    parser.add_argument("--held-out", type=int, default=ProfileOptions().n_held_out)
    parser.add_argument("--max-seconds", type=float, default=MeasureOptions().max_seconds, help="of measuring a group")
    options = parser.parse_args()
    with one_line(parser.prog):
        tell_errors(options)


def tell_errors(options: argparse.Namespace) -> None:
    """Profile, predict, print."""
    space_options = {"resolutions": tuple(options.resolutions)} if options.resolutions else {}
    space = search_spaces.load(options.space, **space_options)
    settings = ProfileOptions(
        n_calibration=options.calibration,
        n_held_out=options.held_out,
        measure=MeasureOptions(
            min_seconds=min(MeasureOptions().min_seconds, options.max_seconds), max_seconds=options.max_seconds
        ),
    )
    device = Device(runtime=options.runtime, precision=options.precision, threads=options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        start = time.monotonic()
        table = profile(space, device, options.directory or Path(temporary), settings)
        minutes = (time.monotonic() - start) / 60
    networks = table.held_out_networks
    measured = measured_ms(networks)
    repeated = np.array([network.repeated_ms for network in networks])
    calibrated = table.cost_model().predict(space.encode([network.architecture for network in networks]))
    stable = np.mean([measurement.stable for measurement in table.blocks.values()])
    print(f"{space.to_json()}, {device}")
    print(f"{len(table.blocks)} blocks ({stable:.0%} stable),", end=" ")
    print(f"{len(table.calibration_networks)} + {len(networks)} networks in {minutes:.1f} minutes")
    print(f"held-out networks take {measured.min():.3f} to {measured.max():.3f} ms")
    print(f"{'':24}{'error':>10}{'within 5%':>10}{'10%':>10}{'Spearman':>12}{'margin':>10}")
    print(row("sum of blocks", sums_ms(table, networks), measured))
    print(row("multiple and constant", affine_ms(table), measured))
    print(row("calibrated table", calibrated, measured))
    print(row("measured once more", repeated, measured))
    print(row("the same without drift", repeated * np.median(measured / repeated), measured))


if __name__ == "__main__":
    main()
