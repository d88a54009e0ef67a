"""A training by several processes of this machine, begun anew from its last checkpoint whenever one of them dies."""

import logging
import os
import pickle
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from torch.multiprocessing.spawn import start_processes

from nas.training.ranks import joined
from search_spaces.errors import InputError

_DEATHS = 3  # without a new checkpoint between them
_TRAINING, _REFUSED, _FAILED = "training", "refused", "failed"

logger = logging.getLogger(__name__)


def train_elastically(train: Callable[[], object], n: int, device: torch.device, checkpoint: Path) -> None:
    """Run a training on n ranks of this machine until it is done.

    Its processes end with this one. They share its threads, or have a graphics card each.

    Args:
        train: what each rank calls, once it has joined the others; goes on from the checkpoint. Can be pickled.
        n: how many ranks there are.
        device: what they train on.
        checkpoint: the file that tells whether anything was achieved between two deaths.

    Raises:
        InputError: the training refuses its input, or its ranks die again and again.
    """
    content = pickle.dumps(train)  # by value: shared memory is scarce in containers
    n_threads = max(1, torch.get_num_threads() // n)
    deaths, before = 0, _stamp(checkpoint)
    while True:
        with tempfile.TemporaryDirectory() as meeting:
            (Path(meeting) / _TRAINING).write_bytes(content)  # no argument: who sends those waits for ever if it dies
            arguments = (n, n_threads, device, Path(meeting))
            processes = start_processes(_rank, arguments, n, join=False).processes  # type: ignore[no-untyped-call]
            died = _first_deaths(processes)
            if not died:
                return
            reason = _reason(died, Path(meeting))
        deaths, before = (1 if _stamp(checkpoint) != before else deaths + 1), _stamp(checkpoint)
        if deaths == _DEATHS:
            raise InputError(
                f"training on {n} ranks: {reason}, and so {deaths} times without a new checkpoint; what was reached is "
                "kept: mend it and run the same command again, with fewer ranks if memory is short"
            )
        logger.warning("training on %d ranks: %s; all begin anew from the last checkpoint", n, reason)


def _first_deaths(processes: Sequence[BaseProcess]) -> dict[int, int]:
    """Wait until all processes end well, or one does not and the others are killed; return who died: exit codes."""
    try:
        while True:
            codes = {number: process.exitcode for number, process in enumerate(processes)}
            if died := {number: code for number, code in codes.items() if code}:
                return died
            living = [processes[number].sentinel for number, code in codes.items() if code is None]
            if not living:
                return {}
            wait(living)
    finally:
        for process in processes:
            process.kill()
            process.join()


def _reason(died: dict[int, int], meeting: Path) -> str:
    """Return why a rank died, in words: first of those that were killed, for others then lose the way to them.

    Raises:
        InputError: one refused its input.
    """
    for path in sorted(meeting.glob(f"{_REFUSED}-*")):
        raise InputError(path.read_text())
    for rank, code in sorted(died.items(), key=lambda item: item[1]):
        if code < 0:
            return f"rank {rank} was killed by {signal.Signals(-code).name}"
        said = meeting / f"{_FAILED}-{rank}"
        return f"rank {rank} failed ({said.read_text() if said.exists() else f'exit code {code}'})"
    raise AssertionError("nobody died")


def _rank(number: int, n: int, n_threads: int, device: torch.device, meeting: Path) -> None:
    torch.set_num_threads(n_threads)
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(n)}
    loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback[0])  # rather than one that others can reach
    try:
        train = pickle.loads((meeting / _TRAINING).read_bytes())
        with joined(device, f"file://{meeting}/ranks"):
            train()
    except InputError as error:
        (meeting / f"{_REFUSED}-{number}").write_text(str(error))
        raise
    except Exception as error:
        (meeting / f"{_FAILED}-{number}").write_text(f"{type(error).__name__}: {error}".splitlines()[0])
        raise


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
