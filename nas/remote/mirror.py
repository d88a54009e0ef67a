"""An output directory at a URL: fetched at the start, put up while it changes, left to whoever takes it over."""

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from nas.remote.store import Store
from nas.remote.working_copy import discard, keep_complete, local
from search_spaces.errors import InputError

PERIOD_S = 1.0
"""What has changed is put up so long after, or three times as long as that took the last time."""

_SHARE = 3
_LOOK_S = 10.0  # so often who holds the directory is asked if there is nothing to put up
_PATIENCE_S = 60.0
_LAST_ATTEMPTS_S = (1.0, 2.0, 4.0, 8.0)

_Stamp = tuple[int, int, int]

_active: "list[Mirror]" = []

logger = logging.getLogger(__name__)


class TakenOverError(InputError):
    """Another driver has taken the directory: nothing may be written there any more."""


class Mirror:
    """The copy of a URL's directory that a verb works in, and the thread that keeps the URL like it.

    What is put up is files as they are at that moment, so a journal may end within a line there, as after a kill.
    Nothing is until the directory is claimed by a lock, and by those who read along, as further ranks do, nothing ever.

    Args:
        url: of the directory, which need not exist.
        last: name of the files that are put up when all else is, for they say that it is.
        taken_over: called in the thread when another driver has taken the directory.

    Attributes:
        directory: of this machine.

    Raises:
        InputError: the URL cannot be read, or has a part in common with one that is mirrored.
    """

    def __init__(self, url: str, last: str, taken_over: Callable[[], object]) -> None:
        self.url, self.directory = url, local(url)
        for other in _active:
            if self.directory.is_relative_to(other.directory) or other.directory.is_relative_to(self.directory):
                raise InputError(f"{url}: {other.url} is open for writing already: write there, or close it first")
        self._store, self._last, self._taken_over = Store(url), last, taken_over
        self._versions: dict[str, str] = {}
        self._stamps: dict[str, _Stamp] = {}
        self._guards: dict[str, bytes] = {}
        self._looked = 0.0
        self._turn = threading.RLock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"mirror of {url}", daemon=True)
        discard(self.directory)  # what was fetched of it to be read
        self.directory.mkdir(parents=True, exist_ok=True)
        self._fetch()
        keep_complete(self.directory)
        _active.append(self)

    def _fetch(self) -> None:
        """Bring the directory to what is at the URL now."""
        versions = self._store.files()
        self._store.fetch([name for name in versions if self._versions.get(name) != versions[name]], self.directory)
        for name in self._versions.keys() - versions:
            (self.directory / name).unlink(missing_ok=True)
        self._versions = versions
        self._stamps = {name: stamp for name, stamp in self._scan().items() if name in versions}

    def _scan(self) -> dict[str, _Stamp]:
        found = {}
        for folder, folders, names in os.walk(self.directory):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for path in (Path(folder, name) for name in names if not name.startswith(".")):
                try:
                    stat = path.stat()
                except FileNotFoundError:  # replaced meanwhile
                    continue
                found[path.relative_to(self.directory).as_posix()] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return found

    def look(self, lock: Path) -> None:
        """Bring a lock file to what it is at the URL now."""
        with self._turn:
            content = self._store.read(self._name(lock))
        lock.unlink(missing_ok=True)
        if content is not None:
            lock.write_bytes(content)

    def guard(self, lock: Path) -> None:
        """Put a lock file up; from now on, all that changes is, for as long as it stays as it is.

        Raises:
            InputError: it cannot be written, or the directory cannot be read.
        """
        with self._turn:
            name = self._name(lock)
            self._store.put(name, lock)
            if self._thread.ident is None:
                try:
                    self._fetch()  # what was put there since, before the directory was ours
                except BaseException:  # what is here may be half of what is there
                    with contextlib.suppress(InputError):
                        self._store.remove(name)
                    raise
                self._thread.start()
            self._guards[name] = lock.read_bytes()

    def _name(self, path: Path) -> str:
        return path.resolve().relative_to(self.directory).as_posix()

    def sync(self) -> None:
        """Make the URL like the directory.

        Raises:
            TakenOverError: it is not this driver's any more.
            InputError: it cannot be written.
        """
        with self._turn:
            finished = {path.relative_to(self.directory).as_posix() for path in self.directory.rglob(self._last)}
            now = self._scan()  # after that: what is finished changes no more
            changed = {name for name, stamp in now.items() if self._stamps.get(name) != stamp}
            ready = [name for name in changed if PurePosixPath(name).name != self._last or name in finished]
            for name in sorted(ready, key=lambda name: (name in finished, name)):
                self._require_ours(within_s=PERIOD_S)
                self._put(name)
                self._stamps[name] = now[name]
            for name in self._stamps.keys() - now:
                self._require_ours(within_s=PERIOD_S)
                self._store.remove(name)
                del self._stamps[name]
            self._require_ours(within_s=_LOOK_S)

    def _put(self, name: str) -> None:
        """Put up a file as it is now: some protocols mind if it grows meanwhile."""
        with tempfile.NamedTemporaryFile(dir=self.directory.parent, prefix=".") as still:
            try:
                shutil.copyfile(self.directory / name, still.name)
            except FileNotFoundError:
                return
            self._store.put(name, Path(still.name))

    def _require_ours(self, *, within_s: float) -> None:
        """Raise unless the locks were at the URL as this driver left them, so short ago."""
        if time.monotonic() - self._looked < within_s:
            return
        for guard, content in self._guards.items():
            if self._store.read(guard) != content:
                raise TakenOverError(
                    f"{self.url} was taken over by another driver: this one has ended, and has put nothing there since"
                )
        self._looked = time.monotonic()

    def _follow(self) -> None:
        pause = PERIOD_S
        while not self._ending.wait(pause):
            began = time.monotonic()
            try:
                self.sync()
                pause = max(PERIOD_S, _SHARE * (time.monotonic() - began))
            except TakenOverError:
                self._taken_over()
                return
            except (InputError, OSError) as error:
                pause = min(2 * pause, _PATIENCE_S)
                logger.warning("%s; tried again in %.0f s", error, pause)

    def close(self) -> None:
        """Put up all that is left and leave the directory to others.

        Raises:
            InputError: it was taken over, or cannot be written; says where all of it is kept then.
        """
        _active.remove(self)
        self._ending.set()
        try:
            if self._guards:
                self._thread.join()
                self._put_all()
        except TakenOverError:
            raise
        except BaseException as error:
            for guard in self._guards:
                (self.directory / guard).unlink(missing_ok=True)
            kept = Path(tempfile.mkdtemp(prefix="nas-kept-")) / self.directory.name
            shutil.move(self.directory, kept)
            raise InputError(f"{error}; what was made is kept in {kept}: copy that to the URL once it works") from None
        finally:
            discard(self.directory)

    def _put_all(self) -> None:
        for pause in (*_LAST_ATTEMPTS_S, None):
            try:
                self._looked = 0.0
                self.sync()
                for guard in list(self._guards):
                    self._store.remove(guard)
                    del self._guards[guard]
                return
            except TakenOverError:
                raise
            except (InputError, OSError) as error:
                if pause is None:
                    raise
                logger.warning("%s; tried again in %.0f s", error, pause)
                time.sleep(pause)


def mirror_of(directory: Path) -> Mirror | None:
    """Return what keeps a URL like a directory, if anything does."""
    path = directory.resolve()
    return next((mirror for mirror in _active if path.is_relative_to(mirror.directory)), None)
