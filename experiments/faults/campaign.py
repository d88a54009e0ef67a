"""Searches that something strikes, each on a cluster of its own, and how they ended."""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from experiments.faults.noted import Noted, connect, search, wait_until
from search_spaces.errors import InputError

_DRIVER = """
import sys
from pathlib import Path
from experiments.faults.noted import Noted, connect, search
address, notes, journal, n = sys.argv[1:]
with connect(address) as executor:
    search(Noted(Path(notes)), Path(journal), int(n), executor)
"""


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
                quick = Noted(Path(directory) / "notes", seconds=0.0)
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
