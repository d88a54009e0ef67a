"""Plain files that are whole or absent: JSON documents with a schema, and append-only journals of JSON lines."""

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from search_spaces.errors import InputError

logger = logging.getLogger(__name__)


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, schema: str, document: Mapping[str, Any]) -> None:
    """Write `document` atomically, marked with the `schema` it follows (such as 'latency-table/1')."""
    text = json.dumps({"schema": schema, **document}, indent=1, allow_nan=False)
    write_atomic(path, lambda temporary: temporary.write_text(text + "\n"))


def read_json(path: Path, schema: str, wanted: Iterable[str] = ()) -> dict[str, Any]:
    """Read a document written by `write_json`.

    Raises:
        InputError: the file is missing, is not JSON, follows another schema, or lacks an entry that is wanted.
    """
    try:
        document = json.loads(path.read_text(), object_pairs_hook=each_once)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path} does not exist: expected a {schema} file") from None
    except (json.JSONDecodeError, UnicodeDecodeError, IsADirectoryError, Repeated) as error:
        raise InputError(f"{path} is not a readable {schema} file ({error}): make it again") from None
    found = document.get("schema") if isinstance(document, dict) else None
    if found != schema:
        raise InputError(f"{path} follows schema {found!r}, expected {schema!r}: make it again with this version")
    assert isinstance(document, dict)
    for name in wanted:
        if name not in document:
            raise InputError(f"{path} lacks {name!r}, expected of {schema}: make it again")
    return document


class Repeated(ValueError):
    """A name that stands twice, and which of the two is meant nothing says."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} stands there twice: keep it once")


def each_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return what an object of JSON says, given to `json.loads` as `object_pairs_hook`.

    Raises:
        Repeated: a name of it.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Repeated(name)
        found[name] = value
    return found


class Journal:
    """Records appended as JSON lines; a last one that a crash cut short is dropped when the journal is opened again.

    `recovered` holds the whole records found on opening, `dropped_bytes` the length of the broken tail.

    Raises:
        InputError: a line before the last is no record, so that something else than a crash has changed the file; or
            it holds nothing but a line that no crash can have left, so that it is no journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.recovered, whole = _whole_records(path)
        self.dropped_bytes = (path.stat().st_size if path.exists() else 0) - len(whole)
        if self.dropped_bytes:
            logger.warning(
                "%s: the last record was cut short; going on after the %d before it", path, len(self.recovered)
            )
            os.truncate(path, len(whole))
        self._file = path.open("ab")
        if whole and not whole.endswith(b"\n"):  # all that a crash cut off
            self._file.write(b"\n")
            self._file.flush()

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records in one write, so that a batch costs one system call."""
        self._file.write("".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode())
        self._file.flush()

    def drop_last(self) -> None:
        """Take back the last of the records found on opening, before any is appended."""
        self.recovered.pop()
        *kept, _ = self.path.read_bytes().splitlines(keepends=True)
        os.truncate(self.path, sum(map(len, kept)))

    def close(self) -> None:
        """Force the records to disk and close the file."""
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _whole_records(path: Path) -> tuple[list[dict[str, Any]], bytes]:
    """Return the records of a journal, and the lines that hold them."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError):
            record = None
        if isinstance(record, dict):  # whole even without its end of line, for no part of an object is one
            records.append(record)
        elif number < len(lines):
            raise InputError(
                f"{path}, line {number}: no record, but {len(lines) - number} lines follow: take back what has changed "
                "the file, or drop it from that line on"
            )
        elif not records and (line.endswith(b"\n") or not line.startswith(b"{")):
            raise InputError(f"{path} is no journal: expected JSON lines; give another file, or take it away")
    return records, b"".join(lines[: len(records)])


def require_same(what: str, recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise unless two descriptions agree, as they must for a run to be resumed.

    Args:
        what: names what was recorded, such as "runs/digits/train".
        recorded: read from JSON.
        asked: may hold tuples where JSON has lists.

    Raises:
        InputError: names the first entry that differs, with both values.
    """
    theirs, ours = _leaves(recorded), _leaves(json.loads(json.dumps(asked)))
    for name in [*ours, *theirs]:
        if theirs.get(name) != ours.get(name):
            raise InputError(
                f"{what} was made with {name} = {theirs.get(name)!r}, asked for is {ours.get(name)!r}: "
                "use the same, or another output directory"
            )


def _leaves(document: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(document, dict):
        return {path: document}
    leaves: dict[str, Any] = {}
    for name, value in document.items():
        leaves |= _leaves(value, f"{path}.{name}" if path else name)
    return leaves
