"""A kit is measured by a process that knows nothing of the project, killed or not; its results are checked."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from latency_predictors import on_device
from latency_predictors.device import Device, MeasureOptions
from latency_predictors.fingerprint import fingerprint, require_same_machine
from latency_predictors.kit.folder import SCRIPT
from latency_predictors.on_device.kit import KitError, measure_kit, missing_files
from latency_predictors.profile import ProfileOptions, make_kit, table_of_results
from search_spaces.errors import InputError

QUICK = MeasureOptions(warmup_runs=1, runs_per_visit=2, min_rounds=2, min_seconds=0, max_seconds=1e-9)
OPTIONS = ProfileOptions(n_calibration=6, n_held_out=5, group_size=8, noise_repeats=3, measure=QUICK)
RESULTS = "kit.results.jsonl"


def start(board: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Run the script with nothing of the project in reach."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["TMPDIR"] = str(board.parent)  # where it is told that this machine is measured on
    command = [sys.executable, "-I", SCRIPT, *arguments]
    return subprocess.Popen(command, cwd=board, env=environment, stdout=-1, stderr=-1, text=True)


def run(board: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(board, *arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def n_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def folder(toy: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit")
    make_kit(toy(widths=(8, 16), depths=(1, 2)), Device(), folder / "kit.json", OPTIONS, progress=False)
    make_kit(toy(widths=(8,), depths=(1, 2, 3, 4, 5)), Device(), folder / "scene-0.1.json", OPTIONS, progress=False)
    return folder


@pytest.fixture(scope="module")
def measured(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board on which the script was killed once a pass was done, and called again."""
    board = tmp_path_factory.mktemp("board") / "copy"
    shutil.copytree(folder, board)
    process = start(board)
    while process.poll() is None and (
        not (board / RESULTS).exists() or (board / RESULTS).read_bytes().count(b"\n") < 2
    ):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = (board / RESULTS).read_bytes()
    done = done[: done.rindex(b"\n") + 1]
    with (board / RESULTS).open("ab") as results:
        results.write(b'{"pass": ')  # cut in the middle of a line
    status, _, told = run(board)
    assert status == 0, told
    assert (board / RESULTS).read_bytes().startswith(done), "what was finished is kept"
    return board


@pytest.fixture
def imported(folder: Path, toy: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[[bytes], Any]]:
    """Makes a table of what a results file holds."""

    def make(content: bytes) -> Any:
        (tmp_path / RESULTS).write_bytes(content)
        return table_of_results(folder, tmp_path / RESULTS)[0]

    yield make
    (folder / "table.json").unlink(missing_ok=True)


def test_results_make_the_table_that_a_profile_makes(
    measured: Path, toy: Callable[..., Any], imported: Callable[[bytes], Any]
) -> None:
    table = imported((measured / RESULTS).read_bytes())
    assert table.blocks.keys() == {repr(block) for block in toy(widths=(8, 16), depths=(1, 2)).index.blocks}
    assert (len(table.calibration_networks), len(table.held_out_networks)) == (3, 3)
    assert table.noise_floor > 0
    assert table.cost_model().cheapest()[0] < table.cost_model().dearest()[0]
    require_same_machine(table.fingerprint, Device())


def test_kits_in_one_folder_are_measured_together_and_know_their_results(
    measured: Path, folder: Path, toy: Callable[..., Any], tmp_path: Path
) -> None:
    results = shutil.copy(measured / "scene-0.1.results.jsonl", tmp_path / "carried.jsonl")
    table, directory = table_of_results(folder, results)
    assert table.space == toy(widths=(8,), depths=(1, 2, 3, 4, 5))
    assert directory == folder / "scene-0.1"
    assert (directory / "table.json").exists()


def test_a_finished_kit_is_not_measured_again(measured: Path) -> None:
    before = (measured / RESULTS).read_bytes()
    status, _, told = run(measured)
    assert (status, (measured / RESULTS).read_bytes()) == (0, before)
    assert "done" in told


def test_a_broken_line_among_results_is_named_and_they_are_kept(measured: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    shutil.copytree(measured, board)
    first, *others = (board / RESULTS).read_bytes().splitlines(keepends=True)
    content = b"".join([first, b"\0\n", *others])
    (board / RESULTS).write_bytes(content)
    status, _, told = run(board)
    assert (status, len(told.splitlines())) == (2, 1)
    assert "line 2: no record, but others follow" in told
    assert (board / RESULTS).read_bytes() == content


def test_the_script_describes_the_machine_as_the_project_does(measured: Path) -> None:
    status, out, _ = run(measured, "--machine")
    described = json.loads(out)
    here = fingerprint()
    assert status == 0
    assert {name: described[name] for name in described if name in here} == {
        name: here[name] for name in here if name in described
    }


def test_one_kit_is_measured_at_a_time_on_a_machine_whichever_it_is(folder: Path, tmp_path: Path) -> None:
    boards = [tmp_path / "left_behind", tmp_path / "asked_next"]
    for board in boards:
        shutil.copytree(folder, board)
    endless = json.loads((boards[0] / "kit.json").read_text())
    for asked in endless["passes"]:
        asked["options"].update(min_seconds=1000, max_seconds=1000)
    (boards[0] / "kit.json").write_text(json.dumps(endless))
    first = start(boards[0], "kit.json")
    assert first.stderr is not None
    assert first.stderr.readline().startswith("pass 1 of ")
    try:
        second = start(boards[1], "scene-0.1.json")
        assert second.stderr is not None
        waits = f"process {first.pid} measures a kit on this machine: waiting for that to end\n"
        assert second.stderr.readline() == waits
        assert n_lines(boards[1] / "scene-0.1.results.jsonl") == 1, "what it is, and no pass yet"
    finally:
        first.kill()
        first.communicate()
    assert "done: take" in second.communicate(timeout=60)[1]
    assert second.returncode == 0


def test_where_nothing_can_be_locked_a_line_says_so(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(measured, tmp_path / "board")
    (tmp_path / "board" / RESULTS).unlink()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    told: list[str] = []
    measure_kit(tmp_path / "board" / "kit.json", told.append)
    assert "No such file or directory" in told[0]
    assert told[0].endswith(": make sure that no other kit is measured on this machine meanwhile")
    assert told[-1].startswith("done")


def test_a_file_that_was_not_copied_whole_is_named(folder: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    shutil.copytree(folder, board)
    cut = next((board / "files").glob("*.onnx"))
    cut.write_bytes(cut.read_bytes()[:-1])
    assert run(board, "--missing")[1] == f"files/{cut.name}\n"
    status, _, told = run(board)
    assert (status, len(told.splitlines())) == (2, 1)
    assert cut.name in told


def test_a_file_of_zeros_and_a_core_that_there_is_not_are_told(folder: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    shutil.copytree(folder, board)
    document = json.loads((board / "kit.json").read_text())
    zeros = board / next(name for name in document["files"] if name.endswith(".npz"))
    content = zeros.read_bytes()
    zeros.write_bytes(bytes(len(content)))  # as a power cut leaves it
    assert missing_files(document, board) == [f"files/{zeros.name}"]
    with pytest.raises(KitError, match=f"1 files of the kit are missing or damaged, files/{zeros.name} first"):
        measure_kit(board / "kit.json", print)
    zeros.write_bytes(content)
    document["device"]["cores"] = [100_000]
    (board / "kit.json").write_text(json.dumps(document))
    with pytest.raises(KitError, match="wants cores 100000, but core 100000 is not among those"):
        measure_kit(board / "kit.json", print)


def test_results_go_on_under_another_kernel_but_not_on_another_machine(measured: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    shutil.copytree(measured, board)
    header, *passes = (board / RESULTS).read_text().splitlines(keepends=True)

    def measure_again(**changed: str) -> str:
        document = json.loads(header)
        document["machine"].update(changed)
        begun = json.dumps(document) + "\n" + "".join(passes[:-1])
        (board / RESULTS).write_text(begun)
        measure_kit(board / "kit.json", lambda line: None)
        return (board / RESULTS).read_text().removeprefix(begun)

    assert measure_again(os="Linux 99", python="4", numpy="9").count("\n") == 1, "the last pass alone"
    with pytest.raises(KitError, match="is of another machine: cpu 'abacus' there, "):
        measure_again(cpu="abacus")


def damaged(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        records = [json.loads(line) for line in content.splitlines()]
        change(records)
        return b"".join(json.dumps(record).encode() + b"\n" for record in records)

    return damage


def first(records: list[dict[str, Any]]) -> dict[str, Any]:
    measurement: dict[str, Any] = next(iter(records[1]["measurements"].values()))
    return measurement


def slowed(records: list[dict[str, Any]], line: int, name: str, ms: float) -> None:
    records[line]["measurements"][name].update(minimum_ms=ms, quantile_ms=ms, median_ms=ms)


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another kit": (damaged(lambda r: r[0].update(kit="0123")), "kit '0123', expected"),
    "no header": (damaged(lambda r: r.pop(0)), "schema None, expected"),
    "other unit": (damaged(lambda r: r[2].update(unit="s")), "pass 2: unit 's', expected 'ms'"),
    "negative": (
        damaged(lambda r: first(r).update(quantile_ms=-1.0)),
        r"pass 1, model 2: quantile_ms -1\.0, expected a positive",
    ),
    "infinite": (damaged(lambda r: first(r).update(median_ms=float("inf"))), "median_ms inf, expected a positive"),
    "not a number": (damaged(lambda r: first(r).update(minimum_ms=float("nan"))), "minimum_ms nan, expected"),
    "no order": (
        damaged(lambda r: first(r).update(minimum_ms=1e6)),
        r"minimum_ms 1e\+06, quantile_ms .* expected none",
    ),
    "a network in one pass": (
        damaged(lambda r: slowed(r, -1, "1", 1e6)),
        r"model 1 takes 1e\+06 ms in pass \d+, but [0-9.e-]+ ms in pass \d+, expected at most 100 times as long",
    ),
    "a block": (
        damaged(lambda r: slowed(r, 4, next(name for name in r[4]["measurements"] if not name.isdecimal()), 1e6)),
        r"model .* takes 1e\+06 ms in pass 4, but the slowest network .* ms in pass \d+, expected at most 100 times",
    ),
    "no fields": (damaged(lambda r: r[1]["measurements"].update({"2": 3})), "model 2: 3, expected the fields"),
    "spread": (damaged(lambda r: first(r).update(spread=float("nan"))), "spread nan: input should be a finite"),
    "runs": (damaged(lambda r: first(r).update(n_runs=-5)), "n_runs -5: input should be greater than or equal to 0"),
    "no latency": (damaged(lambda r: first(r).pop("quantile_ms")), "quantile_ms is missing"),
    "repeated pass": (
        damaged(lambda r: r.__setitem__(2, r[1])),
        'pass 2: "pass": 0, expected 1, as the file counts from 0',
    ),
    "too many": (damaged(lambda r: r.append(r[-1])), "keep each pass once"),
    "lacks a model": (damaged(lambda r: r[-1]["measurements"].popitem()), "lacks model "),
    "another model": (damaged(lambda r: r[-1]["measurements"].update(x={})), "the kit has not, model x"),
    "repeated model": (
        lambda c: c.replace(b'"measurements": {', b'"measurements": {"2": {}, ', 1),
        "2 stands there twice",
    ),
    "hole": (lambda c: c.replace(b'{"pass": 1', b'{"pass', 1), "line 3: no record, but others follow"),
    "cut": (lambda c: c[:-100], r"holds \d+ of \d+ passes: run measure\.pyz on the device again"),
    "empty": (lambda c: b"", "holds no results"),
    "no text": (lambda c: b"\xff\xfe\n", "holds no results"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_results_are_refused_in_one_line(
    damage: str, measured: Path, imported: Callable[[bytes], Any], caplog: pytest.LogCaptureFixture
) -> None:
    change, message = DAMAGES[damage]
    with pytest.raises(InputError, match=message) as error:
        imported(change((measured / RESULTS).read_bytes()))
    assert len(str(error.value).splitlines()) == 1
    assert caplog.text.count("was cut short, and is left out") == (damage in ("cut", "no text"))


def test_results_of_a_kit_with_other_networks_than_are_drawn_now_are_refused(measured: Path, tmp_path: Path) -> None:
    shutil.copy(measured / RESULTS, tmp_path)
    document = json.loads((measured / "kit.json").read_text())
    (tmp_path / "kit.json").write_text(json.dumps({**document, "models": "0123"}))
    with pytest.raises(InputError, match=r"kit\.json is of other networks or blocks than are drawn now"):
        table_of_results(tmp_path, tmp_path / RESULTS)


def test_the_script_is_of_python_3_8_and_its_two_libraries() -> None:
    allowed = {*sys.stdlib_module_names, "latency_predictors", "numpy", "onnxruntime"}
    for path in Path(on_device.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path
            assert all(name.startswith(on_device.__name__) for name in names if name.startswith("latency_predictors"))
