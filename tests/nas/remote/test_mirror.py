"""An output directory at a URL has what the local one has, while its lock is this driver's."""

import json
import os
import platform
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from nas import run_lock
from nas.remote import mirror
from nas.remote.staging import mirrored
from nas.remote.store import Store
from nas.remote.working_copy import at_hand
from search_spaces.errors import InputError
from search_spaces.storage import Journal

ELSEWHERE = json.dumps({"host": "elsewhere", "pid": 7, "since": "then"})


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for seconds here."""
    monkeypatch.setattr(mirror, "PERIOD_S", 0.02)
    monkeypatch.setattr(mirror, "_LOOK_S", 0.02)
    monkeypatch.setattr(mirror, "_LAST_ATTEMPTS_S", (0.01,))


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """Where the URL leads."""
    return tmp_path / "there" / "run"


def soon(condition: Callable[[], object]) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 10
        time.sleep(0.01)


def names(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def test_what_changes_is_put_up_and_what_goes_goes(there: Path) -> None:
    with mirrored(f"file://{there}") as output:
        run_lock.lock(output)
        assert (there / run_lock.FILE).read_bytes() == (output / run_lock.FILE).read_bytes() != b""
        journal, copy = Journal(output / "deep" / "journal.jsonl"), there / "deep" / "journal.jsonl"
        soon(copy.exists)
        for i in range(3):
            journal.append([{"n": i}])
            soon(lambda i=i: f'{{"n": {i}}}' in copy.read_text())
        (output / ".half-written").write_text("")
        (output / "early").write_text("")
        soon((there / "early").exists)
        (output / "early").unlink()
        soon(lambda: not (there / "early").exists())
        journal.append([{"n": 3}])
        journal.close()
    assert names(there) == ["deep/journal.jsonl"]
    assert len(copy.read_text().splitlines()) == 4
    assert not output.exists()


def test_nothing_is_put_by_those_who_have_not_claimed_the_directory(there: Path) -> None:
    with mirrored(f"file://{there}") as output:
        (output / "sub").mkdir()
        (output / "sub" / "table.json").write_text("{}")
        time.sleep(0.1)
    assert not there.exists()
    with pytest.raises(InputError, match="refused"), mirrored(f"file://{there}/new"):
        raise InputError("refused")
    assert not (there / "new").exists()


def test_a_result_is_put_up_last(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names_put: list[str] = []
    put = Store.put
    monkeypatch.setattr(Store, "put", lambda self, name, content: (put(self, name, content), names_put.append(name)))
    monkeypatch.setattr(mirror, "PERIOD_S", 60)
    with mirrored(f"file://{there}") as output:
        run_lock.lock(output)
        names_put.clear()
        for name in ("result.json", "zoo", "train/result.json", "train/zoo"):
            (output / name).parent.mkdir(exist_ok=True)
            (output / name).write_text("")
    assert names_put == ["train/zoo", "zoo", "result.json", "train/result.json"]


def test_a_run_goes_on_from_what_is_at_the_url(there: Path) -> None:
    there.mkdir(parents=True)
    (there / "journal.jsonl").write_text('{"n": 1}\n{"n":')
    (there / "old").write_text("")
    with mirrored(f"file://{there}") as output:
        (there / "journal.jsonl").write_text('{"n": 1}\n{"n": 2}\n{"n":')  # by a driver that then ends
        (there / "old").unlink()
        run_lock.lock(output)
        with Journal(output / "journal.jsonl") as journal:
            assert journal.recovered == [{"n": 1}, {"n": 2}]
            journal.append([{"n": 3}])
    assert names(there) == ["journal.jsonl"]
    assert (there / "journal.jsonl").read_text() == '{"n": 1}\n{"n": 2}\n{"n": 3}\n'


def test_what_was_fetched_to_be_read_is_not_put_back(there: Path) -> None:
    there.mkdir(parents=True)
    (there / "old").write_text("")
    assert (at_hand(f"file://{there}") / "old").exists()
    (there / "old").unlink()
    with mirrored(f"file://{there}") as output:
        run_lock.lock(output)
    assert names(there) == []


@pytest.mark.parametrize("below", ["", "/train", "/.."])
def test_one_directory_has_one_mirror(there: Path, below: str) -> None:
    with mirrored(f"file://{there}") as output:
        with pytest.raises(InputError, match="run is open for writing already"), mirrored(f"file://{there}{below}"):
            pass
        assert output.exists()


def test_a_driver_elsewhere_keeps_others_out_until_a_person_says_that_it_is_dead(there: Path) -> None:
    there.mkdir(parents=True)
    (there / run_lock.FILE).write_text(ELSEWHERE)
    with (
        pytest.raises(InputError, match=r"process 7 on elsewhere since then.*say --force"),
        mirrored(f"file://{there}") as output,
    ):
        run_lock.lock(output)
    assert (there / run_lock.FILE).read_text() == ELSEWHERE
    here = json.dumps({"host": platform.node(), "pid": os.getppid(), "since": "then"})  # which lives
    (there / run_lock.FILE).write_text(here)
    with pytest.raises(InputError, match="in use by another process"), mirrored(f"file://{there}") as output:
        run_lock.lock(output)
    with mirrored(f"file://{there}") as output:
        run_lock.lock(output, force=True)
        assert json.loads((there / run_lock.FILE).read_text())["pid"] == os.getpid()
    assert names(there) == []


def test_a_container_that_starts_again_succeeds_itself(there: Path) -> None:
    there.mkdir(parents=True)
    before = {"host": platform.node(), "pid": os.getpid(), "since": "then"}
    (there / run_lock.FILE).write_text(json.dumps(before))
    with mirrored(f"file://{there}") as output:
        left_by = run_lock.lock(output)
        assert json.loads((there / run_lock.FILE).read_text())["since"] != "then"
    assert left_by == run_lock.Owner(**before)
    assert names(there) == []


@pytest.mark.parametrize("left", [ELSEWHERE, None], ids=["alive", "done and gone"])
def test_a_driver_that_was_taken_over_from_ends_and_writes_no_more(there: Path, left: str | None) -> None:
    def search() -> None:
        with mirrored(f"file://{there}") as output:
            run_lock.lock(output)
            (output / "train").mkdir()
            run_lock.lock(output / "train")
            (output / "train" / "journal").write_text("one")
            soon((there / "train" / "journal").exists)
            if left is None:
                (there / "train" / run_lock.FILE).unlink()
            else:
                (there / "train" / run_lock.FILE).write_text(left)
            (there / "train" / "journal").write_text("theirs")
            while True:
                (output / "train" / "journal").write_text("two")
                time.sleep(0.01)

    with pytest.raises(InputError, match=r"run was taken over by another driver"):
        search()
    assert (there / "train" / "journal").read_text() == "theirs"
    assert (there / "train" / run_lock.FILE).exists() == (left is not None)


def test_what_cannot_be_put_up_is_tried_again_and_at_last_kept(
    there: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(there.parents[1]))
    put, cut = Store.put, threading.Event()

    def sometimes(self: Store, name: str, content: Path) -> None:
        if cut.is_set():
            raise InputError("no way there")
        put(self, name, content)

    monkeypatch.setattr(Store, "put", sometimes)
    with mirrored(f"file://{there}") as output:
        run_lock.lock(output)
        cut.set()
        (output / "result.json").write_text("{}")
        soon(lambda: caplog.messages)
        cut.clear()
    assert caplog.messages[0].startswith("no way there; tried again in ")
    assert names(there) == ["result.json"]
    with pytest.raises(InputError, match="no way there; what was made is kept in ") as failed:  # noqa: PT012, SIM117
        with mirrored(f"file://{there}") as output:
            run_lock.lock(output)
            cut.set()
            (output / "report.json").write_text("{}")
    kept = Path(str(failed.value).partition("kept in ")[2].partition(":")[0])
    assert names(kept) == ["report.json", "result.json"]
    assert not output.exists()


def test_a_directory_that_cannot_be_read_is_left_as_it_is(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there.mkdir(parents=True)
    (there / "supernet").write_text("whole")

    def half(self: Store, names: Iterable[str], to: Path) -> None:
        (to / "supernet").write_text("wh")
        raise InputError("the cable is out")

    with pytest.raises(InputError, match=r"^the cable is out$"), mirrored(f"file://{there}") as output:  # noqa: PT012
        (there / "supernet").write_text("whole and new")
        monkeypatch.setattr(Store, "fetch", half)
        run_lock.lock(output)
    assert names(there) == ["supernet"]
    assert (there / "supernet").read_text() == "whole and new"


def test_all_is_put_up_when_the_driver_is_told_to_end(there: Path) -> None:
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, mirrored(f"file://{there}") as output:  # noqa: PT012
        run_lock.lock(output)
        (output / "journal").write_text("one")
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert names(there) == ["journal"]
    assert signal.getsignal(signal.SIGTERM) == former


def test_who_is_told_to_end_while_all_is_put_up_ends_after_that(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = mirror.Mirror.close
    monkeypatch.setattr(mirror.Mirror, "close", lambda self: (signal.raise_signal(signal.SIGTERM), close(self)))
    with mirrored(f"file://{there}") as output:
        run_lock.lock(output)
        (output / "journal").write_text("one")
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))  # as Ray does
    assert names(there) == ["journal"]
