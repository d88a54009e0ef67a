"""A directory has one user; whoever is refused is told who that is, and the dead are succeeded."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from nas import run_lock
from search_spaces.errors import InputError
from search_spaces.storage import Journal

LOCK = """
import logging, sys
from pathlib import Path
from nas import run_lock
from search_spaces.errors import InputError
logging.basicConfig(format="%(message)s")
try:
    if left_by := run_lock.lock(Path(sys.argv[1]), force="--force" in sys.argv):
        print("left by", left_by, file=sys.stderr)
except InputError as error:
    sys.exit(str(error))
"""


def lock_elsewhere(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", LOCK, str(directory), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)


def test_another_process_is_refused_and_told_by_whom_in_one_line(tmp_path: Path) -> None:
    run_lock.lock(tmp_path)
    run_lock.lock(tmp_path)  # the same process may
    refused = lock_elsewhere(tmp_path)
    assert refused.returncode
    assert f"in use by another process (process {os.getpid()} on {platform.node()} since" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_who_ends_in_peace_leaves_nothing_and_who_is_killed_is_succeeded(tmp_path: Path) -> None:
    assert not lock_elsewhere(tmp_path).stderr
    assert not (tmp_path / run_lock.FILE).read_text()
    (tmp_path / run_lock.FILE).write_text(json.dumps({"host": platform.node(), "pid": 1, "since": "then"}))
    succeeded = lock_elsewhere(tmp_path)
    assert not succeeded.returncode
    assert "left by process 1 on" in succeeded.stderr


def test_whether_a_process_on_another_machine_lives_a_person_says(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append([{"n": 1}])
    (tmp_path / run_lock.FILE).write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "then"}))
    with pytest.raises(InputError, match=r"process 7 on elsewhere since then.*say --force"):
        run_lock.lock(tmp_path)
    run_lock.lock(tmp_path, force=True)
    journal.append([{"n": 2}])  # by the other process, which lives after all
    journal.close()
    with Journal(tmp_path / "journal.jsonl") as mine:
        assert mine.recovered == [{"n": 1}]


def test_a_live_process_can_be_driven_out(tmp_path: Path) -> None:
    run_lock.lock(tmp_path)
    taken = lock_elsewhere(tmp_path, "--force")
    assert not taken.returncode
    assert f"taken over from process {os.getpid()}" in taken.stderr
