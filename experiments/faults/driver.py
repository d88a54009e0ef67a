"""The search as a process of its own, which ends as the verbs do: for faults that end it."""

import sys
from pathlib import Path

from experiments.faults.trial import Trial, connect
from search_spaces.errors import InputError


def main() -> None:
    """Search on the cluster at an address, in a directory, for so many networks of so many seconds."""
    address, directory, n, seconds = sys.argv[1:]
    try:
        with connect(address) as executor:
            Trial(Path(directory), int(n), float(seconds)).search(executor)
    except InputError as error:
        print(f"driver: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
