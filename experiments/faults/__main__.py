"""What a search loses when things die under it, on a real cluster of several nodes on this machine.

    python -m experiments.faults --output runs/faults

Each fault strikes a search of its own in the middle; whatever the fault, its journal is compared, byte by byte, with
that of one process. Evaluations are counted where they are made, on the workers. An out-of-memory kill is what the
kernel does then, SIGKILL; a silent node is one whose processes are stopped, as if its cable were cut.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from experiments.faults.campaign import Campaign, Result
from experiments.faults.strikes import kill_node, kill_worker, kills, nothing, stop_raylet, told
from experiments.report import markdown_table, write_text

FAULTS: Mapping[str, Callable[[Campaign], Result]] = {
    "nothing": lambda c: c.undergo("nothing", nothing),
    "worker killed": lambda c: c.undergo("worker killed", kill_worker),
    "node killed": lambda c: c.undergo("node killed", kill_node),
    "worker hangs": lambda c: c.undergo("worker hangs", told("hang")),
    "worker out of memory": lambda c: c.undergo("worker out of memory", told("exhaust")),
    "node silent for 30 s": lambda c: c.undergo("node silent for 30 s", stop_raylet(30.0)),
    "driver killed": lambda c: c.undergo_death_of_driver("driver killed"),
    "disk of the driver full": lambda c: c.undergo_death_of_driver("disk of the driver full", fill_disk=True),
    "50 workers killed": lambda c: c.undergo("50 workers killed", kills(50, 10 * c.n), n=10 * c.n),
}


def main() -> None:
    """Run the campaign, print its table and write it; exit with 1 if any search ended otherwise than undisturbed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="new directory for journals, notes and the table")
    parser.add_argument("--evaluations", type=int, default=80, help="of a search; ten times as many of the long one")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    arguments = parser.parse_args()
    if arguments.output.exists():
        sys.exit(f"{arguments.output} exists: give a new directory")
    campaign = Campaign(arguments.output.absolute(), arguments.evaluations)
    results = []
    for name in arguments.faults:
        results.append(FAULTS[name](campaign))
        print(*results[-1].row(), sep="; ", flush=True)
    headings = ["fault", "evaluations", "strikes", "lost", "repeated", "ended twice", "journal", "took"]
    table = markdown_table(headings, [result.row() for result in results])
    write_text(arguments.output / "faults.md", table)
    print(table)
    sys.exit(0 if all(result.same and not result.lost for result in results) else 1)


if __name__ == "__main__":
    main()
