"""What a run was given is found again where it was, or where it was moved to, on this machine or at a URL."""

import json
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from latency_predictors.device import Device
from nas import run_lock
from nas.remote.working_copy import at_hand, told
from nas.run_directory import begin_run, finish_run, input_path, read_asked
from search_spaces.errors import InputError

pytestmark = pytest.mark.usefixtures("own_copies")


def make(there: Path, recorded: str) -> None:
    """Write a run `search` that was given `train`, both below a place of which runs were told by another name."""
    for verb in ("train", "search"):
        (there / verb).mkdir(parents=True)
    (there / "train" / "weights").write_text("")
    options = {"supernet": f"{recorded}/train", "output": f"{recorded}/search"}
    asked = {"schema": "run/1", "verb": "search", "options": options}
    (there / "search" / "run.json").write_text(json.dumps(asked))


def test_what_was_asked_is_whole_or_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": "run/1", "options": {}}')
    with pytest.raises(InputError, match=r"run\.json lacks 'verb', expected of run/1"):
        read_asked(tmp_path)


def test_a_path_is_preferred_to_where_it_may_have_been_moved(tmp_path: Path) -> None:
    make(tmp_path / "old", f"{tmp_path}/old")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    assert input_path(tmp_path / "new" / "search", "supernet") == tmp_path / "old" / "train"
    shutil.rmtree(tmp_path / "old")
    assert input_path(tmp_path / "new" / "search", "supernet") == tmp_path / "new" / "train"


@dataclass(frozen=True)
class Asked:
    device: Device


def test_an_unfinished_run_goes_on_where_its_device_is_now(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Which is that of the result, so that another device's is not told for it."""
    there, elsewhere = (Asked(Device(host=f"ssh://pi@{name}")) for name in ("there", "elsewhere"))
    assert begin_run(tmp_path, "profile", there) is None
    (tmp_path / "measurements.jsonl").write_text("{}")
    dead = json.dumps({"host": platform.node(), "pid": 1, "since": "then"})
    (tmp_path / run_lock.FILE).unlink()
    (tmp_path / run_lock.FILE).write_text(dead)
    with pytest.raises(InputError, match=r"options\.device\.threads = 1, asked for is 2"):
        begin_run(tmp_path, "profile", Asked(Device(threads=2)))
    assert not caplog.messages
    (tmp_path / run_lock.FILE).unlink()
    (tmp_path / run_lock.FILE).write_text(dead)
    assert begin_run(tmp_path, "profile", elsewhere) is None
    assert "left by process 1 on" in caplog.text
    assert "which is dead: going on from" in caplog.text
    finish_run(tmp_path, {"blocks": 1})
    assert begin_run(tmp_path, "profile", elsewhere) == {"blocks": 1}
    with pytest.raises(InputError, match=r"options\.device\.host = 'ssh://pi@elsewhere'"):
        begin_run(tmp_path, "profile", there)


@dataclass(frozen=True)
class Given:
    known: tuple[Path, ...]
    named: dict[str, Path]


def test_a_run_that_was_moved_with_what_it_was_given_is_the_same(tmp_path: Path) -> None:
    there, here = (Given((tmp_path / x / "slow.csv",), {"phone": tmp_path / x / "phone"}) for x in ("old", "new"))
    assert begin_run(tmp_path / "fit", "fit", there, {"known slow.csv": "1"}) is None
    finish_run(tmp_path / "fit", {"networks": 10})
    assert begin_run(tmp_path / "fit", "fit", here, {"known slow.csv": "1"}) == {"networks": 10}
    with pytest.raises(InputError, match=r"fit was made with another known slow\.csv .*, what it holds differs: use"):
        begin_run(tmp_path / "fit", "fit", here, {"known slow.csv": "2"})
    with pytest.raises(InputError, match=r"fit was made with another elsewhere .*, only one of the two has it: use"):
        begin_run(tmp_path / "fit", "fit", here, {"known slow.csv": "1", "elsewhere": "3"})
    with pytest.raises(InputError, match=r"output .*fit/result\.json is a file, expected a directory: give one"):
        begin_run(tmp_path / "fit" / "result.json", "fit", here)


@pytest.mark.parametrize("recorded", ["s3://gone/runs", "/gone/runs", "file://{here}"])
def test_what_lies_beside_a_run_at_a_url_is_fetched_from_there(tmp_path: Path, recorded: str) -> None:
    make(tmp_path / "x", recorded.format(here=tmp_path / "x"))
    search = at_hand(f"file://{tmp_path}/x/search")
    assert not (search.parent / "train").exists()
    found = input_path(search, "supernet")
    assert (found / "weights").exists()
    assert told(str(found)) == f"file://{tmp_path}/x/train"


def test_what_was_brought_here_is_not_fetched_and_what_was_not_is(tmp_path: Path) -> None:
    make(tmp_path / "x", f"file://{tmp_path}/x")
    shutil.copytree(tmp_path / "x", tmp_path / "here")
    assert input_path(tmp_path / "here" / "search", "supernet") == tmp_path / "here" / "train"
    shutil.rmtree(tmp_path / "here" / "train")
    found = input_path(tmp_path / "here" / "search", "supernet")
    assert told(str(found)) == f"file://{tmp_path}/x/train"
    assert (found / "weights").exists()
