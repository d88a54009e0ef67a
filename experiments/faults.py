"""What a search loses when things die under it, on a real cluster of several nodes on this machine.

    python -m experiments.faults --output runs/faults

Each fault strikes a search of its own in the middle; whatever the fault, its journal is compared, byte by byte, with
that of one process. Evaluations are counted where they are made, on the workers. An out-of-memory kill is what the
kernel does then, SIGKILL; a silent node is one whose processes are stopped, as if its cable were cut.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster

import search_spaces
from experiments.report import markdown_table, write_text
from nas import strategies
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.executors.executor import Executor
from nas.executors.options import ClusterOptions
from nas.executors.ray_actors import RayExecutor
from nas.objectives import FeasibleRegion, Objective
from nas.search import Search
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

SPACE = search_spaces.load("mobilenet_v3_32")
WORKERS, SECONDS, TIMEOUT_S = 4, 0.2, 5.0


_DRIVER = """
import sys
from pathlib import Path
from experiments import faults
address, notes, journal, n = sys.argv[1:]
with faults.connect(address) as executor:
    faults.search(faults.Noted(Path(notes)), Path(journal), int(n), executor)
"""


class Noted(Evaluator):
    """Takes its time, and notes who evaluated what; a file named `hang` or `exhaust` makes the next one do so.

    Args:
        directory: of the notes; a file `over` in it says that the search has ended.
    """

    metrics = ("score",)
    batch_size = 1

    def __init__(self, directory: Path) -> None:
        self.space = SPACE
        self.directory = directory
        self.over = directory / "over"
        directory.mkdir(parents=True, exist_ok=True)

    def evaluate(self, population: Population) -> Metrics:
        (row,) = population
        name = "".join(map(str, row))
        (self.directory / f"{name}.begun-{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(SECONDS * (0.5 + (int(row.sum()) % 5) / 5))
        if self._is_told("hang"):
            time.sleep(1000)
        if self._is_told("exhaust"):
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does to whoever takes too much memory
        (self.directory / f"{name}.ended-{os.getpid()}-{time.monotonic_ns()}").touch()
        return {"score": np.array([float((row * np.arange(1, len(row) + 1)).sum()) / 7])}

    def _is_told(self, what: str) -> bool:
        try:
            (self.directory / what).unlink()
        except FileNotFoundError:
            return False
        return True

    def begun(self) -> int:
        """Return how many evaluations have begun."""
        return len(list(self.directory.glob("*.begun-*")))

    def ended(self) -> Counter[str]:
        """Return how often each network was evaluated to the end."""
        return Counter(path.name.split(".")[0] for path in self.directory.glob("*.ended-*"))

    def busy(self) -> list[int]:
        """Return the processes that are evaluating."""
        begun, ended = (
            {tuple(p.name.split("-")[:2]) for p in self.directory.glob(f"*.{e}-*")} for e in ("begun", "ended")
        )
        ended = {(name.replace("ended", "begun"), process) for name, process in ended}
        return [int(process) for _, process in begun - ended if Path(f"/proc/{process}").exists()]


@dataclass(frozen=True)
class Result:
    """How a search under faults ended.

    Attributes:
        fault: what struck.
        n: networks that were searched for.
        n_faults: how often it struck.
        lost: evaluations whose results never came to the journal.
        repeated: evaluations that were begun once more, for they had not ended, or nobody had heard of it.
        ended_twice: those of them that had ended: their result was under way as the fault struck.
        same: whether the journal is that of one process.
        seconds: that the search took.
    """

    fault: str
    n: int
    n_faults: int
    lost: int
    repeated: int
    ended_twice: int
    same: bool
    seconds: float

    def row(self) -> list[str]:
        """Return a table's row."""
        counts = (self.n, self.n_faults, self.lost, self.repeated, self.ended_twice)
        return [self.fault, *map(str, counts), "identical" if self.same else "DIFFERENT", f"{self.seconds:.0f} s"]


def search(evaluator: Noted, journal: Path, n: int, executor: Executor | None) -> None:
    """Search for n networks by evolution that is two asks ahead of what it was told."""
    strategy = strategies.load("regularized_evolution", population=20, sample=5)
    Search(
        evaluator, strategy, [Objective("score")], FeasibleRegion(SPACE),
        budget=n, seed=0, journal=journal, executor=executor, ahead=2,
    ).run(progress=False)  # fmt: skip


@contextmanager
def cluster_of(nodes: int) -> Iterator[Cluster]:
    """Start a head without CPUs and some nodes of two."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=2)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def connect(address: str) -> RayExecutor:
    """Return an executor of four workers, whose evaluations may take five seconds."""
    return RayExecutor(ClusterOptions(WORKERS, address, threads=1, timeout_s=TIMEOUT_S, attempts=6))


class Campaign:
    """Runs the faults one after the other.

    Args:
        directory: of journals and notes.
        n: networks of each search.
    """

    def __init__(self, directory: Path, n: int) -> None:
        self.directory = directory
        self.n = n
        self._expected: dict[int, bytes] = {}

    def expected(self, n: int) -> bytes:
        """Return the journal of a search in this process that nothing befalls."""
        if n not in self._expected:
            with tempfile.TemporaryDirectory() as directory:
                quick = Noted(Path(directory) / "notes")
                with _no_waiting():
                    search(quick, Path(directory) / "journal.jsonl", n, None)
                self._expected[n] = (Path(directory) / "journal.jsonl").read_bytes()
        return self._expected[n]

    def undergo(
        self, fault: str, strike: Callable[[Noted, Cluster], int], *, n: int | None = None, nodes: int = 3
    ) -> Result:
        """Let something strike a search, beside it, and return how that ended; `strike` returns how often it struck."""
        n = n or self.n
        self.expected(n)
        folder = self.directory / fault.replace(" ", "-")
        evaluator, journal = Noted(folder / "notes"), folder / "journal.jsonl"
        struck: list[int] = []
        with cluster_of(nodes) as cluster, connect(cluster.address) as executor:
            striker = threading.Thread(target=lambda: struck.append(strike(evaluator, cluster)))
            striker.start()
            start = time.monotonic()
            search(evaluator, journal, n, executor)
            seconds = time.monotonic() - start
            evaluator.over.touch()
            striker.join()
        return self.result(fault, n, sum(struck), evaluator, journal, seconds)

    def undergo_death_of_driver(self, fault: str, fill_disk: bool = False) -> Result:
        """Kill the process that searches, or fill its disk, then start the same again."""
        folder = self.directory / fault.replace(" ", "-")
        evaluator, journal = Noted(folder / "notes"), folder / "run" / "journal.jsonl"
        journal.parent.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        with cluster_of(3) as cluster:
            if fill_disk:
                mounted = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(journal.parent)]
                if subprocess.run(mounted, check=False, capture_output=True).returncode:
                    raise InputError("a full disk needs the right to mount one: run as root, or leave it out")
            command = [
                sys.executable,
                "-c",
                _DRIVER,
                cluster.address,
                str(evaluator.directory),
                str(journal),
                str(self.n),
            ]
            driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            if not fill_disk:
                wait_until(lambda: len(evaluator.ended()) >= self.n // 2)
                driver.kill()
            _, said = driver.communicate()
            if fill_disk:
                assert "No space left on device" in said, said
                subprocess.run(["mount", "-o", "remount,size=1m", str(journal.parent)], check=True)
            wait_until(lambda: not evaluator.busy())
            with connect(cluster.address) as executor:
                search(evaluator, journal, self.n, executor)
        result = self.result(fault, self.n, 1, evaluator, journal, time.monotonic() - start)
        if fill_disk:
            subprocess.run(["umount", str(journal.parent)], check=True)
        return result

    def result(self, fault: str, n: int, struck: int, evaluator: Noted, journal: Path, seconds: float) -> Result:
        """Count what was lost and repeated, and compare the journal."""
        ended = evaluator.ended()
        same = journal.read_bytes() == self.expected(n)
        lost = n - journal.read_bytes().count(b"\n") + 1
        repeated, ended_twice = evaluator.begun() - len(ended), ended.total() - len(ended)
        return Result(fault, n, struck, lost, repeated, ended_twice, same, seconds)


@contextmanager
def _no_waiting() -> Iterator[None]:
    global SECONDS
    before, SECONDS = SECONDS, 0.0
    try:
        yield
    finally:
        SECONDS = before


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    while not condition():
        time.sleep(0.02)


def nothing(evaluator: Noted, cluster: Cluster) -> int:
    """Let the search be."""
    return 0


def kill_worker(evaluator: Noted, cluster: Cluster) -> int:
    """Kill a worker in the middle of an evaluation."""
    wait_until(lambda: len(evaluator.ended()) >= 10 and bool(evaluator.busy()))
    os.kill(evaluator.busy()[0], signal.SIGKILL)
    return 1


def kill_node(evaluator: Noted, cluster: Cluster) -> int:
    """Kill a node that workers are on, with all its processes."""
    wait_until(lambda: len(evaluator.ended()) >= 10)
    cluster.remove_node(cluster.list_all_nodes()[1], allow_graceful=False)
    return 1


def told(name: str) -> Callable[[Noted, Cluster], int]:
    """Return what makes one evaluation suffer."""

    def tell(evaluator: Noted, cluster: Cluster) -> int:
        wait_until(lambda: len(evaluator.ended()) >= 10)
        (evaluator.directory / name).touch()
        return 1

    return tell


def stop_raylet(seconds: float) -> Callable[[Noted, Cluster], int]:
    """Return what keeps a node silent for so long, workers and all, as a cut cable would."""

    def silence(evaluator: Noted, cluster: Cluster) -> int:
        wait_until(lambda: len(evaluator.ended()) >= 10 and bool(evaluator.busy()))
        node = cluster.list_all_nodes()[1]
        processes = [info.process.pid for infos in node.all_processes.values() for info in infos]
        processes += [pid for pid in evaluator.busy() if _parent(pid) in processes]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return 1

    return silence


def _parent(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def kills(n: int, n_evaluations: int) -> Callable[[Noted, Cluster], int]:
    """Return what kills a worker at work n times, at random moments all over a search of so many evaluations."""

    def kill(evaluator: Noted, cluster: Cluster) -> int:
        rng = np.random.default_rng(0)
        n_killed = 0
        moments = np.sort(rng.integers(n_evaluations - 5, size=n))
        while n_killed < n and not evaluator.over.exists():
            time.sleep(rng.uniform(0.0, 0.1))
            if len(evaluator.ended()) < moments[n_killed]:
                continue
            with contextlib.suppress(ProcessLookupError):
                if busy := evaluator.busy():
                    os.kill(int(rng.choice(busy)), signal.SIGKILL)
                    n_killed += 1
        return n_killed

    return kill


FAULTS: Mapping[str, Callable[[Campaign], Result]] = {
    "nothing": lambda c: c.undergo("nothing", nothing),
    "worker killed": lambda c: c.undergo("worker killed", kill_worker),
    "node killed": lambda c: c.undergo("node killed", kill_node),
    "worker hangs": lambda c: c.undergo("worker hangs", told("hang")),
    "worker out of memory": lambda c: c.undergo("worker out of memory", told("exhaust")),
    "node silent for 30 s": lambda c: c.undergo("node silent for 30 s", stop_raylet(30.0)),
    "driver killed": lambda c: c.undergo_death_of_driver("driver killed"),
    "disk of the driver full": lambda c: c.undergo_death_of_driver("disk of the driver full", fill_disk=True),
    "50 workers killed": lambda c: c.undergo("50 workers killed", kills(50, 10 * c.n), n=10 * c.n),
}


def main() -> None:
    """Run the campaign, print its table and write it; exit with 1 if any search ended otherwise than undisturbed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="new directory for journals, notes and the table")
    parser.add_argument("--evaluations", type=int, default=80, help="of a search; ten times as many of the long one")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    arguments = parser.parse_args()
    if arguments.output.exists():
        sys.exit(f"{arguments.output} exists: give a new directory")
    campaign = Campaign(arguments.output.absolute(), arguments.evaluations)
    results = []
    for name in arguments.faults:
        results.append(FAULTS[name](campaign))
        print(*results[-1].row(), sep="; ", flush=True)
    headings = ["fault", "evaluations", "strikes", "lost", "repeated", "ended twice", "journal", "took"]
    table = markdown_table(headings, [result.row() for result in results])
    write_text(arguments.output / "faults.md", table)
    print(table)
    sys.exit(0 if all(result.same and not result.lost for result in results) else 1)


if __name__ == "__main__":
    main()
