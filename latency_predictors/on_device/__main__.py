"""`python3 measure.pyz`: measure the kit in this folder; may be stopped at any time, and goes on when called again."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

_NEEDED = "Python 3.8 or newer, with: python3 -m pip install numpy onnxruntime"


def main() -> int:
    """Measure a kit, or tell what a caller elsewhere asks; return the exit status."""
    parser = argparse.ArgumentParser(prog="measure.pyz", description=f"{__doc__} Needs {_NEEDED}.")
    parser.add_argument("kit", nargs="?", type=Path, help="NAME.json of one kit; all that are here by default")
    parser.add_argument("--machine", action="store_true", help="describe this machine, and measure nothing")
    parser.add_argument("--missing", action="store_true", help="name files of the kit that are not here")
    asked = parser.parse_args()
    try:
        from latency_predictors.on_device import kit

        if asked.machine:
            print(json.dumps(kit.describe_machine()))
            return 0
        kits = [asked.kit] if asked.kit else kit.kits_in(Path())
        if asked.missing:
            missing = [name for path in kits for name in kit.missing_files(kit.read_kit(path), path.parent)]
            print("\n".join(dict.fromkeys(missing)))
        else:
            if hasattr(signal, "SIGHUP"):  # the connection over which this was started may be cut
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            for path in kits:
                kit.measure_kit(path, _say)
    except ImportError as error:
        return _fail(f"{error}: needs {_NEEDED}")
    except ValueError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error}; what was finished is kept")
    except KeyboardInterrupt:
        return _fail("interrupted: what was finished is kept; call it again to go on")
    return 0


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # perhaps nobody listens any more
        os.write(sys.stderr.fileno(), f"{line}\n".encode())


def _fail(line: str) -> int:
    _say(f"measure.pyz: {' '.join(line.split())}")
    return 2


if __name__ == "__main__":
    sys.exit(main())
