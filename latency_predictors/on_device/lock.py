"""Locks on files, which the system takes back from a process however that ends; one of them is the machine's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, whose locks do not end with their process
    fcntl = None  # type: ignore[assignment]

_MACHINE = "hardware-aware-nas.lock"


def hold(file: BinaryIO, say: Callable[[str], object], holder: Callable[[], str]) -> None:
    """Lock a file until it is closed; where another process holds it, wait for that, and say so.

    Args:
        file: to lock.
        say: called with a line if there is something to wait for.
        holder: returns what holds the file, in words.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{holder()}: waiting for that to end")
            fcntl.flock(file, fcntl.LOCK_EX)


@contextmanager
def machine_held(say: Callable[[str], object]) -> Iterator[None]:
    """Wait until no other process measures a kit on this machine, whichever kit it is, and keep others waiting.

    A caller elsewhere that was interrupted leaves such a process behind, and two at a time find latencies that are up
    to 19 % off. Where nothing can be locked, a line says so.
    """
    with ExitStack() as held:
        try:
            path = Path(tempfile.gettempdir(), _MACHINE)  # a home may be read-only, or that of several machines
            file = held.enter_context(os.fdopen(_opened(path), "r+b", buffering=0))
            hold(file, say, lambda: f"{_process(file)} measures a kit on this machine")
            file.seek(0)
            file.write(str(os.getpid()).encode())
            file.truncate()
        except OSError as error:
            say(f"{error}: make sure that no other kit is measured on this machine meanwhile")
        yield


def _opened(path: Path) -> int:
    """Open a file for reading and writing, which all users may; make it if there is none.

    These are two steps, as Linux keeps a user from opening, in a public directory, another's file if it might be made.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL)
    except FileExistsError:  # another process was quicker
        return os.open(path, flags)
    path.chmod(0o666)  # whatever the umask
    return descriptor


def _process(file: BinaryIO) -> str:
    file.seek(0)
    number = file.read(20)
    return f"process {int(number)}" if number.isdigit() else "another process"
