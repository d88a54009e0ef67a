"""A file, or a folder with all below it, at a URL: listed, fetched and put by fsspec, each refusal one clear line."""

import posixpath
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeGuard

import fsspec

from search_spaces.errors import InputError, unknown

_URL = re.compile(r"[A-Za-z][\w+.:-]*://")  # also fsspec's chains, as filecache::s3://, which are then refused

_OPEN_AUTHORITY = re.compile(r"([^:@]*@)?(\[[^]]*\]|[^:@]*)(:\d*)?")
"""User, host and port, where nothing else stands between colons."""

_PUT_WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "az", "oss", "oci", "tos"}
"""Protocols of object stores, which show a file when all of it is there, and know no folders that could be made."""


def is_url(place: object) -> TypeGuard[str]:
    """Tell whether something that a user gave is a URL, and not a path."""
    return isinstance(place, str) and _URL.match(place) is not None


class Store:
    """What is below a URL, by names relative to it; "" is what lies there itself. Hidden files are left alone.

    Raises:
        InputError: in every method, what is wrong with the URL or what the other side has said.
    """

    def __init__(self, url: str) -> None:
        _require_no_secret(url)
        self.url, protocol = url, url.partition("://")[0]
        if protocol not in (known := fsspec.available_protocols()):
            raise unknown("protocol", protocol, known)
        with self._answering("be reached"):
            # a connection of its own, for a thread uses it
            self._files, self._path = fsspec.url_to_fs(url, skip_instance_cache=True)
        self._path = self._path.rstrip("/")
        self._puts_whole = protocol in _PUT_WHOLE
        self._mark = uuid.uuid4().hex[:8]

    @contextmanager
    def _answering(self, doing: str) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except ImportError as error:
            raise InputError(f"{self.url} needs a package that is not installed: {error}") from None
        except Exception as error:  # every protocol has its own
            said = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{self.url} cannot {doing}: {said}") from error

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def files(self) -> dict[str, str]:
        """Return the names of all files, each with a text that is another when the file is."""
        with self._answering("be read"):
            self._files.invalidate_cache()
            try:
                there = self._files.info(self._path)
            except FileNotFoundError:
                return {}
            if there["type"] == "file":
                return {"": str(there)}
            listed = self._files.find(self._path, detail=True)
        named = {self._name(path): str(info) for path, info in listed.items()}
        return {name: version for name, version in named.items() if not _is_hidden(name)}

    def _name(self, path: str) -> str:
        name = path[len(self._path) :].lstrip("/")
        if ".." in PurePosixPath(name).parts:
            raise InputError(f"{self.url} holds {name!r}, which lies outside: give another folder")
        return name

    def fetch(self, names: Iterable[str], to: Path) -> None:
        """Copy files to where they belong below a folder of this machine: all of them, or none."""
        copies = {name: to / name for name in names}
        for copy in copies.values():
            copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._answering("be read"):
                if copies:
                    self._files.get(list(map(self._at, copies)), list(map(str, copies.values())))
        except BaseException:  # what was cut short would be taken for whole
            for copy in copies.values():
                if copy.is_file():
                    copy.unlink()
            raise

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is none."""
        with self._answering("be read"):
            try:
                return bytes(self._files.cat_file(self._at(name)))
            except FileNotFoundError:
                return None

    def put(self, name: str, content: Path) -> None:
        """Put a file up, whole: whoever reads meanwhile finds the file before."""
        with self._answering("be written"):
            if self._puts_whole:
                self._files.put_file(str(content), self._at(name))
                return
            folder, base = posixpath.split(self._at(name))
            part = f"{folder}/.{base}.{self._mark}"
            self._files.makedirs(folder, exist_ok=True)
            self._files.put_file(str(content), part)
            self._files.mv(part, self._at(name))

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        with self._answering("be written"):
            try:
                self._files.rm_file(self._at(name))
            except FileNotFoundError:
                return


def _require_no_secret(url: str) -> None:
    """Raise for a URL with what should not be written down, as URLs are in runs and logs; it is not repeated."""
    protocol, _, rest = url.partition("://")
    authority = rest.partition("/")[0]
    if not _OPEN_AUTHORITY.fullmatch(authority) or "?" in url:
        raise InputError(
            f"a URL of {protocol} holds a password or a query: leave it out, for URLs are written to runs; say secrets "
            f"in fsspec's configuration (~/.config/fsspec, FSSPEC_{protocol.upper()}_PASSWORD) or as {protocol} takes "
            "them"
        )


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)
