"""Who uses a run's directory: one process at a time, whichever machine of a shared file system it is on."""

import atexit
import errno
import fcntl
import json
import logging
import os
import platform
import shutil
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from nas.remote.mirror import mirror_of
from search_spaces.errors import InputError
from search_spaces.storage import write_atomic

FILE = ".lock"
_locked: dict[Path, int] = {}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner:
    """A process that uses a directory, and since when."""

    host: str
    pid: int
    since: str

    @classmethod
    def here(cls) -> "Owner":
        """Return this process."""
        return cls(platform.node(), os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S"))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def lock(directory: Path, *, force: bool = False) -> Owner | None:
    """Keep other processes out of a directory for as long as this one lives.

    A process on this machine is known to be dead by its lock, which the system takes back; whether one on another
    machine is, only a person can say, by `force`. What that one should still write to a journal then goes nowhere.
    Where the directory is at a URL, the lock is there: who finds it to be another's ends.

    Returns:
        A dead process that left its name there, which is then taken away.

    Raises:
        InputError: the directory is in use; names who uses it.
    """
    key, path, mirror = directory.resolve(), directory / FILE, mirror_of(directory)
    if key in _locked and _is_open(path, _locked[key]):
        return None
    if mirror:
        mirror.look(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    claimed, owner = None if mirror else _claim(descriptor), _read(path)
    was_here = owner is not None and owner.host == platform.node()
    dead = owner if was_here and (claimed or (claimed is None and not _lives(owner))) else None
    if dead is None and (owner is not None or claimed is False):
        if not force:
            os.close(descriptor)
            raise InputError(
                f"{directory} is in use by another process ({owner or 'not known'}): wait for it, give another output, "
                "or, if that one is dead, say --force"
            )
        logger.warning("%s is taken over from %s", directory, owner or "another process")
        os.close(descriptor)
        path.unlink()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        _claim(descriptor)
        _renew_journals(directory)
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(Owner.here())).encode(), 0)
    if mirror:
        mirror.guard(path)
    _locked[key] = descriptor
    return dead


def _is_open(path: Path, descriptor: int) -> bool:
    """Tell whether a file is there that was opened as `descriptor`: copies of what is at a URL come and go."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor))


def _claim(descriptor: int) -> bool | None:
    """Lock a file; return False if another process of this machine holds it, None where files cannot be locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
        return None
    return True


def _read(path: Path) -> Owner | None:
    """Return who left their name; None where nobody did, or it is not readable."""
    try:
        return Owner(**json.loads(path.read_text()))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, FileNotFoundError):
        return None


def _lives(owner: Owner | None) -> bool:
    assert owner is not None
    if owner.pid == os.getpid():  # one before this: where a container starts again, processes have the same numbers
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _renew_journals(directory: Path) -> None:
    """Put a copy in the place of each journal: who has the old file open writes to what nobody reads."""
    for journal in directory.rglob("*.jsonl"):
        write_atomic(journal, partial(shutil.copyfile, journal))


@atexit.register
def _leave() -> None:
    """Take this process's name away: whoever ends in peace leaves no lock to wonder at."""
    for directory, descriptor in _locked.items():
        owner = _read(directory / FILE)  # another's, if the directory was taken over or this process is a fork
        if owner is not None and (owner.host, owner.pid) == (platform.node(), os.getpid()):
            os.truncate(descriptor, 0)
