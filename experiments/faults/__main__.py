"""What a search loses when things die under it, on real clusters of several nodes on this machine.

    python -m experiments.faults --output runs/faults

Each fault strikes a search of its own in the middle; whatever the fault, its journal is compared, byte by byte, with
that of one process. Evaluations are counted where they are made, on the workers. Nothing is pretended: the kernel ends
who exhausts a memory group, a cut network is an interface that is down, a full disk is one. These three take root.
"""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from experiments.command import at_least_one, one_line
from experiments.faults import endings, strikes
from experiments.faults.campaign import Fault, undergo
from experiments.faults.clusters import with_branch, with_little_memory
from experiments.faults.strikes import during
from experiments.report import markdown_table, write_text
from search_spaces.errors import InputError

_LONG_S = 90.0
"""A timeout that no cut outlasts: calls have to end, or to be given up by Ray, for the search to go on."""

_NONE = "none"

FAULTS: Mapping[str, Fault] = {
    _NONE: Fault(during(strikes.nothing)),
    "worker killed": Fault(during(strikes.kill_worker)),
    "node killed": Fault(during(strikes.kill_node)),
    "worker hangs": Fault(during(strikes.hang)),
    "worker out of memory, ended by the kernel": Fault(during(strikes.exhaust_group)),
    "worker out of memory, ended by Ray": Fault(during(strikes.exhaust_node, with_little_memory, _LONG_S)),
    "some networks raise": Fault(strikes.some_raise, refused=13),
    "all evaluations raise": Fault(endings.evaluations_broken),
    "network cut for 5 s": Fault(during(strikes.cut_cable(5.0), with_branch, _LONG_S), longer=2, seconds=1.0),
    "network cut for 30 s": Fault(during(strikes.cut_cable(30.0), with_branch, _LONG_S), longer=3, seconds=1.0),
    "network cut for 30 s, timeout 5 s": Fault(during(strikes.cut_cable(30.0), with_branch), longer=3, seconds=1.0),
    "driver killed": Fault(endings.driver_killed),
    "disk of the driver full": Fault(endings.disk_full),
    "head killed": Fault(endings.head_killed, longer=10),
    "50 workers killed": Fault(during(strikes.kills(50)), longer=10),
}


def main() -> None:
    """Run the campaign, and exit with 1 unless all has struck and ended as undisturbed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="new directory for journals, notes and the table")
    parser.add_argument("--evaluations", type=int, default=80, help="of a search; several times as many of long ones")
    parser.add_argument(
        "--faults", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT", help="; ".join(FAULTS)
    )
    arguments = parser.parse_args()
    with one_line(parser.prog):
        as_undisturbed = campaign(arguments)
    sys.exit(0 if as_undisturbed else 1)


def campaign(arguments: argparse.Namespace) -> bool:
    """Undergo the faults, print their table and write it, return whether all has struck and ended as undisturbed.

    Raises:
        InputError: the directory is not new.
    """
    at_least_one(evaluations=arguments.evaluations)
    if arguments.output.exists():
        raise InputError(f"--output {arguments.output} exists: give a new directory")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    results = []
    for name in arguments.faults:
        directory = arguments.output.absolute() / name.replace(",", "").replace(" ", "-")
        try:
            results.append(undergo(name, FAULTS[name], directory, arguments.evaluations))
        except InputError as error:
            print(f"{name}: not tried: {error}", file=sys.stderr)
            continue
        print(*results[-1].row(), sep="; ", flush=True)
    headings = ["fault", "evaluations", "strikes", "lost", "repeated", "of these had ended", "journal", "took"]
    table = markdown_table(headings, [result.row() for result in results])
    write_text(arguments.output / "faults.md", table)
    print(table)
    struck = [result for result in results if result.n_strikes or result.fault == _NONE]
    as_undisturbed = [result.fault for result in struck if result.same and not result.lost]
    return as_undisturbed == list(arguments.faults)


if __name__ == "__main__":
    main()
