"""On a real cluster: the journal is that of one process, byte by byte, whoever dies; what cannot be is said at once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
from ray.cluster_utils import Cluster

import search_spaces
from nas import strategies
from nas.config import build
from nas.evaluation.evaluator import Evaluator
from nas.executors import ray_actors
from nas.executors.executor import Executor
from nas.executors.local import LocalExecutor
from nas.executors.options import ClusterOptions, load_executor
from nas.executors.ray_executor import RayExecutor
from nas.objectives import FeasibleRegion, Objective
from nas.search import History, Search
from search_spaces.errors import InputError
from tests.nas.executors.kit import Faulty

BUDGET = 60
SPACE = search_spaces.load("mobilenet_v3_32", resolutions=(16,))


def search(evaluator: Evaluator, journal: Path, executor: Executor | None = None, **options: object) -> History:
    settings = {"budget": BUDGET, "seed": 0, "executor": executor, "ahead": 2, **options}
    strategy = strategies.load("regularized_evolution", population=20, sample=5)
    region = FeasibleRegion(SPACE)
    return Search(evaluator, strategy, [Objective("score")], region, journal=journal, **settings).run(progress=False)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def executor(cluster: Cluster) -> Iterator[RayExecutor]:
    with RayExecutor(ClusterOptions(3, cluster.address, threads=1, timeout_s=3.0)) as executor:
        yield executor


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The journal of a search in one process."""
    directory = tmp_path_factory.mktemp("alone")
    search(Faulty(SPACE, directory / "notes"), directory / "journal.jsonl")
    return (directory / "journal.jsonl").read_bytes()


def test_the_journal_is_that_of_one_process(
    executor: RayExecutor, alone: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_actors, "_QUIET_S", 0.02)  # connections are tried all the time
    evaluator = Faulty(SPACE, tmp_path / "notes", seconds=0.1)
    search(evaluator, tmp_path / "journal.jsonl", executor)
    assert (tmp_path / "journal.jsonl").read_bytes() == alone
    assert not list(tmp_path.glob("*early*"))
    assert len(evaluator.evaluations()) == BUDGET
    assert len({path.suffix.split("-")[1] for path in evaluator.directory.glob("*.by-*")}) > 1, "workers"


def test_workers_may_die_hang_and_lose_their_disks(executor: RayExecutor, alone: bytes, tmp_path: Path) -> None:
    evaluator = Faulty(SPACE, tmp_path / "notes", ["dies", "hangs", "cannot read"], seconds=0.02)
    search(evaluator, tmp_path / "journal.jsonl", executor)
    assert (tmp_path / "journal.jsonl").read_bytes() == alone
    assert len(list(evaluator.directory.glob("*.fault"))) == 3
    assert BUDGET <= len(evaluator.evaluations()) <= BUDGET + 3 * 10, "no more than was sent to those three"


def test_what_raises_is_recorded_with_its_trace_as_in_one_process(executor: RayExecutor, tmp_path: Path) -> None:
    journals = []
    for name, where in (("here", None), ("there", executor)):
        path = tmp_path / f"{name}.jsonl"
        search(Faulty(SPACE, tmp_path / name, always="raises"), path, where)
        journals.append(path.read_bytes())
    assert journals[0] == journals[1]
    failed = [record for record in map(json.loads, journals[0].splitlines()[1:]) if "failure" in record]
    assert 1 < len(failed) < BUDGET / 2
    assert failed[0]["score"] is None
    assert failed[0]["failure"]["kind"].startswith("ValueError at kit.py:")
    assert "ValueError: no network" in failed[0]["failure"]["trace"]


def test_what_kills_every_worker_is_recorded_as_failed(cluster: Cluster, alone: bytes, tmp_path: Path) -> None:
    patience = ClusterOptions(1, cluster.address, threads=1, attempts=1)
    with RayExecutor(patience) as executor:
        search(Faulty(SPACE, tmp_path / "notes", always="dies"), tmp_path / "journal.jsonl", executor, budget=9)
    records = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()[1:]]
    failed = [record for record in records if "failure" in record]
    assert len(records) == 9
    assert failed
    assert all("1 workers were lost that evaluated it" in record["failure"]["trace"] for record in failed)


def test_a_node_may_die(cluster: Cluster, alone: bytes, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=2, resources={"doomed": 2})
    evaluator = Faulty(SPACE, tmp_path / "notes", seconds=0.1)

    def kill() -> None:
        while len(evaluator.evaluations()) < 10:
            time.sleep(0.01)
        cluster.remove_node(node, allow_graceful=False)

    with RayExecutor(ClusterOptions(6, cluster.address, threads=1)) as executor:
        killer = threading.Thread(target=kill)
        killer.start()
        search(evaluator, tmp_path / "journal.jsonl", executor)
        killer.join()
    assert (tmp_path / "journal.jsonl").read_bytes() == alone


def test_a_search_goes_on_where_a_killed_driver_stopped(
    cluster: Cluster, executor: RayExecutor, alone: bytes, tmp_path: Path
) -> None:
    evaluator, journal = Faulty(SPACE, tmp_path / "notes", seconds=0.3), tmp_path / "journal.jsonl"
    code = f"""
from pathlib import Path
from tests.nas.executors.kit import Faulty
from tests.nas.executors.test_ray_executor import SPACE, ClusterOptions, RayExecutor, search
with RayExecutor(ClusterOptions(3, {cluster.address!r}, threads=1)) as executor:
    search(Faulty(SPACE, Path({str(tmp_path / "notes")!r}), seconds=0.3), Path({str(journal)!r}), executor)
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], env=os.environ | {"PYTHONPATH": "."}
    )
    while driver.poll() is None and len(evaluator.evaluations()) < 20:
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(1)  # until Ray has ended its workers
    finished = len(evaluator.evaluations())
    search(evaluator, journal, executor)
    assert journal.read_bytes() == alone
    assert BUDGET <= len(evaluator.evaluations()) <= BUDGET + 6, "no more is repeated than was under way"
    assert finished >= 20


def test_an_evaluation_that_always_fails_ends_the_search_with_a_report(executor: RayExecutor, tmp_path: Path) -> None:
    class Broken(Faulty):
        def evaluate(self, population: np.ndarray) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
            raise ZeroDivisionError(f"of {len(population)}")

    journal = tmp_path / "journal.jsonl"
    with pytest.raises(InputError, match=r"3 evaluations .* alike, ZeroDivisionError at .*: of 1") as error:
        search(Broken(SPACE, tmp_path / "notes"), journal, executor)
    assert len(str(error.value).splitlines()) == 1
    assert journal.read_text().count("Traceback") == 3
    search(Faulty(SPACE, tmp_path / "notes"), journal, executor)  # once that is mended


def test_what_the_cluster_lacks_is_said_at_once(cluster: Cluster, executor: RayExecutor) -> None:
    for wanted, message in [
        ({"device": "phone"}, r"no node has what a measurement takes \(device:phone 1\): \d nodes have at most"),
        ({"threads": 64}, r"no node has what a worker takes \(CPU 64\): .*CPU 2, device:pi 1"),
        ({"threads": 1, "gpus": 1}, r"\(CPU 1, GPU 1\)"),
    ]:
        with pytest.raises(InputError, match=message):
            RayExecutor(ClusterOptions(2, cluster.address, **wanted))  # type: ignore[arg-type]


def test_what_builds_on_what_came_before_is_not_spread(executor: RayExecutor, tmp_path: Path) -> None:
    evaluator = Faulty(SPACE, tmp_path / "notes")
    evaluator.independent = False  # type: ignore[misc]
    with pytest.raises(InputError, match="Faulty builds on what it evaluated before"):
        search(evaluator, tmp_path / "journal.jsonl", executor)


def node_of_this_process() -> str:
    return str(ray.get_runtime_context().get_node_id())


def test_measurements_go_to_the_node_that_has_the_device(cluster: Cluster, executor: RayExecutor) -> None:
    (pi,) = [node["NodeID"] for node in ray.nodes() if node["Resources"].get("device:pi")]
    with RayExecutor(ClusterOptions(1, cluster.address, device="pi", attempts=1)) as measuring:
        assert {measuring.measure(node_of_this_process) for _ in range(3)} == {pi}
        with pytest.raises(InputError, match="batch of 3"):
            measuring.measure(refuse, 3)
        with pytest.raises(InputError, match=r"the node of device pi was lost while it measured \(WorkerCrashedError"):
            measuring.measure(die)
    assert executor.measure(os.getpid) == os.getpid(), "here, where no device is named"


def refuse(n: int) -> None:
    raise InputError(f"a batch of {n}")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_without_workers_there_are_no_options_of_workers() -> None:
    with pytest.raises(InputError, match=r"--cluster\.threads 2 does nothing without workers or an address"):
        build(ClusterOptions, {"threads": 2, "attempts": 9})
    assert isinstance(load_executor(ClusterOptions()), LocalExecutor)
