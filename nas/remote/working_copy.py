"""What is at URLs, copied to this machine for as long as the process lives: the URL stays the name of it all."""

import atexit
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from nas.remote.store import Store, is_url

_PLACE = Path(tempfile.gettempdir()).resolve() / f"nas-{uuid.uuid4().hex}"
"""Every URL has its path below, so that what is beside each other there is so here; made when something is."""

_BELOW = re.compile(re.escape(str(_PLACE)) + r"/([\w.~%-]+)")

_complete: set[Path] = set()
"""All below these is here."""


def local(url: str) -> Path:
    """Return where a URL's copy is, or would be."""
    protocol, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    _PLACE.mkdir(mode=0o700, exist_ok=True)
    return _PLACE / quote(f"{protocol}://{host}", safe="") / os.path.normpath(f"/{path}").lstrip("/")


def url_of(path: Path) -> str | None:
    """Return the URL whose copy is, or would be, at a path; None if that is no copy."""
    absolute = str(path.absolute())
    return told(absolute) if _BELOW.match(absolute) else None


def told(text: str) -> str:
    """Return a text with URLs for the paths of their copies, which mean nothing to anybody else."""
    return _BELOW.sub(lambda found: unquote(found[1]), text)


def told_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values likewise, as JSON has them."""
    renamed: dict[str, Any] = json.loads(told(json.dumps(document)))
    return renamed


def at_hand(place: str | Path, *, documents: bool = False) -> Path:
    """Return a path at which a file or folder can be read: it is fetched if it is at a URL, and a path is as it was.

    Where there is nothing at the URL, there is nothing at the path.

    Args:
        place: the path or the URL.
        documents: whether of a folder at a URL only its own JSON documents are wanted.

    Raises:
        InputError: the URL cannot be read.
    """
    url = place if is_url(place) else url_of(Path(place))
    if url is None:
        return Path(place)
    path = local(url)
    if not _complete & {path, *path.parents}:
        store = Store(url)
        wanted = [name for name in store.files() if not documents or (fnmatch(name, "*.json") and "/" not in name)]
        store.fetch([name for name in wanted if not (path / name).exists()], path)
        if not documents:
            keep_complete(path)
    return path


def keep_complete(path: Path) -> None:
    """Take note that all below a path is here, and need not be fetched."""
    _complete.add(path)


def discard(path: Path = _PLACE) -> None:
    """Delete copies, so that what is at the URLs then is fetched when it is asked for again."""
    _complete.difference_update([copy for copy in _complete if copy.is_relative_to(path) or path.is_relative_to(copy)])
    shutil.rmtree(path, ignore_errors=True)


atexit.register(discard)
