"""Latencies of new devices from a few measurements and the tables of other devices, on published tables.

    python -m experiments.latency_transfer --data FOLDER --output runs/latency-transfer

FOLDER holds `nasbench201.parquet` with `nasbench201_latency.parquet`, or `fbnet_latency.parquet`, or all of them.
HELP's protocol (Lee et al., NeurIPS 2021): networks that may be measured, networks that are tested on, source devices.
A device of the tables that the protocol does not name is a target. Writes `report.md`, and `runs.jsonl`, from which a
comparison that was stopped goes on; delete it when a model has changed. --readme puts the summary in a document.
"""

import argparse
from pathlib import Path

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from experiments.command import at_least_one, resumable
from experiments.latency_transfer.protocol import Protocol, planned
from experiments.latency_transfer.report import write_report
from experiments.latency_transfer.runs import run_all
from experiments.latency_transfer.tables import read
from experiments.report import Section

ROLES = ("target", "validation", "source")


def main() -> None:
    """Run what is missing, write the report, print its summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--output", type=Path, required=True, help="folder of the report and of what was run")
    parser.add_argument(
        "--roles", nargs="+", choices=ROLES, default=ROLES[:2], help="devices to predict; each source by the others"
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--readme", type=Path, help="document that gets the summary as its section latency-transfer")
    arguments = parser.parse_args()
    threadpool_limits(1)
    with resumable(parser.prog):
        summary = compare(arguments)
    print(summary)
    print(f"the whole report: {arguments.output / 'report.md'}")


def compare(arguments: argparse.Namespace) -> str:
    """Run what is missing, write the report, return its summary."""
    at_least_one(seeds=arguments.seeds, processes=arguments.processes)
    section = Section(arguments.readme, "latency-transfer") if arguments.readme else None
    data = read(arguments.data)
    runs = planned(data, arguments.roles, arguments.seeds)
    found = run_all(runs, arguments.data, arguments.output, arguments.processes)
    protocols = {space: Protocol(data, space) for space in data}
    devices = dict.fromkeys((run.space, run.device) for run in runs)
    ceilings = {(space, device): protocols[space].ceiling(device) for space, device in devices}
    summary = write_report(arguments.output, found, ceilings)
    if section:
        section.replace(summary)
    return summary


if __name__ == "__main__":
    main()
