"""One network measured again and again in a process of its own, before anything else: how noisy a machine is."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

import search_spaces
from latency_predictors.device import Device
from latency_predictors.fingerprint import require_one_machine
from latency_predictors.kit import remote
from latency_predictors.kit.kit import Kit, Pass, ProfileOptions
from latency_predictors.latencies import entries, measurements
from latency_predictors.measuring import measure
from search_spaces.errors import InputError

_ROOT = Path(__file__).parents[1]


def measure_repeats(kit: Kit, machine: Mapping[str, str]) -> list[Pass]:
    """Return the passes of a kit that measure its one network, which is loaded anew for each.

    Args:
        kit: the kit.
        machine: the fingerprint of the machine that its device has to be.

    Raises:
        OtherMachineError: another one answers.
        InputError: the device cannot do what is asked, or does not answer.
    """
    if kit.device.host is not None:
        numbers = range(kit.options.noise_repeats)
        parts = [(kit.models(n), kit.measure_options(n)) for n in numbers]
        results = remote.measure_parts(kit.device, parts, resume=True)
        require_one_machine(machine, results.machine, kit.device)
        return [*results.passes]
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    stdin, held = os.pipe()
    with os.fdopen(stdin), os.fdopen(held, "w"):  # which closes with this process, however that ends
        child = subprocess.run(
            [sys.executable, "-m", __name__, json.dumps(kit.describe())],
            stdin=stdin,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
    if child.returncode:
        raise InputError((child.stderr.splitlines() or [f"measuring ended with status {child.returncode}"])[-1])
    return [measurements(record, "the noise floor, model") for record in json.loads(child.stdout.splitlines()[-1])]


def main() -> None:
    """Measure the repeats of the kit that the argument describes, and print them; end where stdin does."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    asked = json.loads(sys.argv[1])
    options = TypeAdapter(ProfileOptions).validate_python(asked["options"])
    kit = Kit(search_spaces.from_json(asked["space"]), Device.from_json(asked["device"]), options)
    found = [measure(kit.device, kit.models(n), options=kit.measure_options(n)) for n in range(options.noise_repeats)]
    print(json.dumps([entries(one) for one in found]))


def _end_with_stdin() -> None:
    """End this process with the one that holds its stdin: what goes on then is not to be measured beside it."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
