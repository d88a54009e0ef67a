"""The command line: a thin front of `nas.verbs`, each verb one function with its dataclass of options."""

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run a verb and exit: 0 done, 2 bad input, 130 interrupted."""
    # Threads that spin while they wait make training many times slower on a machine that does anything else.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        from nas.commands import nas  # imported here, so that an interrupt while torch loads is told like any other

        nas()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(_tell("interrupted: what was finished is kept; run the same command again to go on", 130))
    except OSError as error:
        place = f" at {error.filename}" if error.filename else ""
        sys.exit(
            _tell(f"{error.strerror}{place}: what was finished is kept; mend it and run the same command again", 2)
        )


def _tell(message: str, status: int) -> int:
    print(f"nas: {message}", file=sys.stderr)
    return status
