"""What ends a search before its time; the same search then goes on, on the same cluster or on the next."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ray.cluster_utils import Cluster

from experiments.faults import clusters
from experiments.faults.trial import Trial, connect, wait_until
from search_spaces.errors import InputError

_NOTICED_WITHIN_S = 45.0
"""Ray itself would end the driver after a minute without its head, and say so in its own words."""


def driver_killed(trial: Trial) -> int:
    """Kill the process that searches."""
    with clusters.nodes() as cluster:
        driver = trial.driver(cluster.address)
        _wait_for(trial, driver, trial.n // 2)
        driver.kill()
        driver.communicate()
        _go_on(trial, cluster)
    return 1


def head_killed(trial: Trial) -> int:
    """Kill all processes of the head; the driver has to end by itself, in time and in one line."""
    with clusters.nodes() as cluster:
        driver = trial.driver(cluster.address)
        _wait_for(trial, driver, trial.n // 10)
        cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        struck = time.monotonic()
        try:
            _, said = driver.communicate(timeout=_NOTICED_WITHIN_S)
        finally:
            driver.kill()
        print(f"the driver ended {time.monotonic() - struck:.0f} s after the head, with {driver.returncode}: {said}")
        _require(driver.returncode == 2 and len(said.strip().splitlines()) == 1, said)
    with clusters.nodes() as cluster:
        _go_on(trial, cluster)
    return 1


def disk_full(trial: Trial) -> int:
    """Let the driver's disk have room for half of the journal, then for all of it."""
    with clusters.nodes() as cluster, _small_disk(trial):
        _, said = trial.driver(cluster.address).communicate()
        _require("No space left on device" in said, said)
        subprocess.run(["mount", "-o", "remount,size=1m", str(trial.journal.parent)], check=True)
        _go_on(trial, cluster)
        whole = trial.journal.read_bytes()
    trial.journal.write_bytes(whole)  # the disk took its own with it
    return 1


def evaluations_broken(trial: Trial) -> int:
    """Let all evaluations fail alike, until the search says so; then mend them."""
    broken = trial.evaluator.directory / "break"
    broken.touch()
    with clusters.nodes() as cluster:
        _, said = trial.driver(cluster.address).communicate()
        _require("3 evaluations in a row failed alike" in said and len(said.strip().splitlines()) == 1, said)
        broken.unlink()
        _go_on(trial, cluster)
    return 1


def _wait_for(trial: Trial, driver: "subprocess.Popen[str]", n: int) -> None:
    """Wait until so many evaluations of a driver have ended, for as long as it lives."""
    wait_until(lambda: len(trial.evaluator.ended()) >= n or driver.poll() is not None)
    if driver.poll() is not None:
        _require(False, driver.communicate()[1])


def _go_on(trial: Trial, cluster: Cluster) -> None:
    """Search on, once the workers of before are gone."""
    wait_until(lambda: not trial.evaluator.busy())
    with connect(cluster.address) as executor:
        trial.search(executor)


def _require(as_expected: bool, said: str) -> None:
    if not as_expected:
        raise RuntimeError(f"the driver ended otherwise than it should have: {said}")


@contextmanager
def _small_disk(trial: Trial) -> Iterator[None]:
    """Mount a disk of two pages where the journal is kept, for as long as this is open."""
    folder = trial.journal.parent
    folder.mkdir(parents=True)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    if subprocess.run(mounted, check=False, capture_output=True).returncode:
        raise InputError("a full disk takes the right to mount one: run as root, or leave the fault out")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
