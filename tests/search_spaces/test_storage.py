"""Files are whole or absent, and a journal keeps every whole record, whatever cut the writing short."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.errors import InputError
from search_spaces.storage import Journal, read_json, require_same, write_atomic, write_json

SCHEMA = "latency-table/1"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=5,
)
RECORDS = st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=5)


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond some bytes: the system refuses the write that would, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def append(path: Path, records: list[dict[str, Any]]) -> None:
    with Journal(path) as journal:
        journal.append(records)


def append_one_by_one(journal: Journal, records: list[dict[str, Any]]) -> None:
    for record in records:
        journal.append([record])


@given(document=st.dictionaries(st.text().filter(lambda key: key != "schema"), VALUES))
def test_a_document_comes_back_as_it_went(tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "new" / "table.json"
    write_json(path, SCHEMA, document)
    assert read_json(path, SCHEMA) == {"schema": SCHEMA, **document}
    assert [file.name for file in path.parent.iterdir()] == ["table.json"]


def test_an_exception_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    write_json(path, SCHEMA, {"age": "old"})

    def write(temporary: Path) -> None:
        temporary.write_text("half of ")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, write)
    assert read_json(path, SCHEMA)["age"] == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    write_json(path, SCHEMA, {"age": "old"})
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        write_json(path, SCHEMA, {"age": "new" * 1000})
    assert read_json(path, SCHEMA)["age"] == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_json_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for value in (float("nan"), object()):
        with pytest.raises((ValueError, TypeError)):
            write_json(tmp_path / "table.json", SCHEMA, {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_readable_for_others(tmp_path: Path) -> None:
    write_json(tmp_path / "table.json", SCHEMA, {})
    assert (tmp_path / "table.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"schema": "latency-table/2"}', "follows schema 'latency-table/2', expected 'latency-table/1'"),
        (b"{}", "follows schema None"),
        (b"[1]", "follows schema None"),
        (b'{"schema": "latency-ta', "not a readable latency-table/1 file"),
        (b"", "not a readable"),
        (b"\xff\xfe", "not a readable"),
        (None, "does not exist"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "table.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=complaint) as caught:
        read_json(path, SCHEMA)
    assert str(path) in str(caught.value)


def test_a_directory_is_no_document(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a readable"):
        read_json(tmp_path, SCHEMA)


@settings(max_examples=10)
@given(records=RECORDS)
def test_a_journal_cut_anywhere_keeps_its_whole_records(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "journal.jsonl"
    path.unlink(missing_ok=True)
    append(path, records)
    content = path.read_bytes()
    assert content.count(b"\n") == len(records)
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        n_whole = content[: length + 1].count(b"\n")  # a record is whole if its end of line alone is cut off
        whole_bytes = content[: length + 1].rfind(b"\n") + 1
        with Journal(path) as journal:
            assert journal.recovered == records[:n_whole]
            assert journal.dropped_bytes == max(0, length - whole_bytes)
            journal.append([{"after": "the cut"}])
            journal.append(records[n_whole:])
        with Journal(path) as journal:
            assert journal.recovered == [*records[:n_whole], {"after": "the cut"}, *records[n_whole:]]
            assert journal.dropped_bytes == 0


def test_what_is_no_record_ends_the_whole_ones(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for garbage in (b"\0\0\0\n", b"[1]\n", b"\xff\n", b"\n"):
        path.write_bytes(b'{"n": 1}\n' + garbage)
        with Journal(path) as journal:
            assert journal.recovered == [{"n": 1}]
            assert journal.dropped_bytes == len(garbage)
        assert path.read_bytes() == b'{"n": 1}\n'


def test_a_file_that_is_no_journal_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for content in (b"notes", b"notes\n", b"[1]", b"{n: 1}\n", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"notes\.txt is no journal: expected JSON lines; give another file"):
            Journal(path)
        assert path.read_bytes() == content
    path.write_bytes(b'{"mine": 1}')
    with Journal(path) as journal:
        assert journal.recovered == [{"mine": 1}], "whoever opens it refuses what is not his"
    assert path.read_bytes() == b'{"mine": 1}\n'


def test_a_broken_line_before_others_is_named_and_the_file_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for garbage in (b"\0\0\0\n", b"[1]\n", b'{"n": 1}{"n": 2}\n'):
        content = b'{"n": 1}\n' + garbage + b'{"n": 3}\n'
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"journal\.jsonl, line 2: no record, but 1 lines follow"):
            Journal(path)
        assert path.read_bytes() == content


def test_records_are_on_file_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "new" / "journal.jsonl") as journal:
        journal.append([{"n": 1}, {"n": 2}])
        assert journal.path.read_text() == '{"n": 1}\n{"n": 2}\n'


def test_a_batch_with_a_bad_record_is_not_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        with pytest.raises(ValueError, match="not JSON compliant"):
            journal.append([{"n": 1}, {"n": float("inf")}])
        assert journal.path.read_bytes() == b""


def test_a_full_disk_leaves_earlier_records_whole(tmp_path: Path) -> None:
    path, copy = tmp_path / "journal.jsonl", tmp_path / "as a crash left it.jsonl"
    records = [{"n": n, "text": "x" * 100} for n in range(100)]
    journal = Journal(path)
    with full_disk(5000), pytest.raises(OSError, match="File too large"):
        append_one_by_one(journal, records)
    content = path.read_bytes()
    assert len(content) == 5000
    n_whole = content.count(b"\n")
    copy.write_bytes(content)
    with Journal(copy) as crashed:
        assert crashed.recovered == records[:n_whole]
        assert crashed.dropped_bytes > 0
    journal.append(records[n_whole + 1 :])
    journal.close()
    with Journal(path) as reopened:
        assert reopened.recovered == records, "what could not be written waits until there is room"


def test_descriptions_that_agree_pass_and_others_are_told(tmp_path: Path) -> None:
    asked = {"seed": 1, "space": {"name": "made up", "resolutions": (24, 32)}}
    recorded = json.loads(json.dumps(asked))
    require_same("runs/a", recorded, asked)
    recorded["space"]["resolutions"] = [24]
    with pytest.raises(InputError, match=r"runs/a was made with space\.resolutions = \[24\], asked for is \[24, 32\]"):
        require_same("runs/a", recorded, asked)
    with pytest.raises(InputError, match="seed = 1, asked for is None"):
        require_same("runs/a", json.loads(json.dumps(asked)), {"space": asked["space"]})
