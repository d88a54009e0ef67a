"""A device behind ssh is measured as any other, whatever happens to the connection: a real server on this machine.

Where there is none, a script that runs the command in a shell stands in for ssh.
"""

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from latency_predictors.device import Device, Measurement, MeasureOptions
from latency_predictors.fingerprint import OtherMachineError, fingerprint, require_same_machine
from latency_predictors.kit import remote
from latency_predictors.kit.ssh import ConnectionLost, Host
from latency_predictors.measuring import measure
from latency_predictors.model import Model
from search_spaces.errors import InputError

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SHORT = MeasureOptions(warmup_runs=1, runs_per_visit=3, min_rounds=2, min_seconds=0, max_seconds=1e-9)
WHILE = MeasureOptions(min_seconds=0.5, max_seconds=0.5)


class Server:
    """An ssh server that takes this user by a key of its own."""

    def __init__(self, folder: Path, ssh: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        self._config = folder / "sshd_config"
        self._config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nStrictModes no\n"
            f"AuthorizedKeysFile {folder}/user_key.pub\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        )
        options = f"-o IdentityFile={folder}/user_key -o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=no"
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F none {options} -o IdentitiesOnly=yes "$@"\n')
        ssh.chmod(0o755)
        self.start()

    def start(self) -> None:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        assert SSHD is not None
        command = [SSHD, "-D", "-e", "-f", self._config]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("the server does not start")

    def cut(self) -> None:
        """Kill the server's end of each connection, not what was started over it."""
        for child in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)

    def stop(self) -> None:
        self.cut()
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH server here: apt-get install openssh-server")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(remote, "FOLDER", str(tmp_path / "there"))
    monkeypatch.setattr(remote, "PAUSES_S", (0.1, 0.1))
    server = Server(tmp_path, tmp_path / "bin" / "ssh")
    yield server
    server.stop()


def device_of(server: Server) -> Device:
    return Device(host=f"ssh://{getpass.getuser()}@127.0.0.1:{server.port}{sys.executable}")


def test_models_are_measured_elsewhere(server: Server, matmul: Callable[..., Model]) -> None:
    device = device_of(server)
    found = measure(device, {"small": matmul(8), "large": matmul(256)}, options=SHORT)
    assert [measurement.n_runs for measurement in found.values()] == [6, 6]
    assert 0 < found["small"].quantile_ms < found["large"].quantile_ms
    again = measure(device, {"small": matmul(8), "large": matmul(256)}, options=SHORT)
    assert again != found, "what is asked for again is measured again"
    machine = require_same_machine(fingerprint(Device()), device)
    measure(device, {"small": matmul(8)}, options=SHORT, machine=machine)
    for one, told in ((device, r"ssh://\S+"), (Device(), "this machine")):
        with pytest.raises(OtherMachineError, match=rf"^{told} is another machine than .* \(cores '1000' there, "):
            measure(one, {"small": matmul(8)}, options=SHORT, machine=machine | {"cores": "1000"})


def test_what_does_not_run_elsewhere_is_told_in_one_line(server: Server, matmul: Callable[..., Model]) -> None:
    broken = Model(b"no model", matmul(2).feed, matmul(2).module)
    with pytest.raises(InputError, match="broken does not run under this onnxruntime") as error:
        measure(device_of(server), {"broken": broken}, options=SHORT)
    assert len(str(error.value).splitlines()) == 1
    many = Device.from_json(device_of(server).to_json() | {"threads": 1000})
    with pytest.raises(InputError, match="wants 1000 threads, "):
        measure(many, {"network": matmul(2)}, options=SHORT)


def recorded(there: Path) -> list[str]:
    """Return the passes that are done, as they were written."""
    return [line for path in there.glob("*.jsonl") for line in path.read_text().splitlines()[1:]]


def wait_for_a_pass(there: Path) -> list[str]:
    for _ in range(600):
        if done := recorded(there):
            return done
        time.sleep(0.05)
    raise AssertionError("no pass was finished")


def test_a_cut_connection_loses_nothing(server: Server, matmul: Callable[..., Model], tmp_path: Path) -> None:
    parts = [({"network": matmul(size)}, WHILE) for size in (8, 16, 32)]
    before_cut: list[str] = []

    def cut() -> None:
        before_cut.extend(wait_for_a_pass(tmp_path / "there"))
        server.cut()

    cutting = threading.Thread(target=cut)
    cutting.start()
    found = remote.measure_parts(device_of(server), parts, resume=True)
    cutting.join()
    assert len(found.passes) == 3
    assert 0 < len(before_cut) < 3
    for line, one in zip(before_cut, found.passes, strict=False):
        assert Measurement(**json.loads(line)["measurements"]["network"]) == one["network"]


def test_a_host_that_is_gone_and_comes_back_goes_on(
    server: Server, matmul: Callable[..., Model], tmp_path: Path
) -> None:
    parts = [({"network": matmul(size)}, WHILE) for size in (8, 16)]
    stopping = threading.Thread(target=lambda: (wait_for_a_pass(tmp_path / "there"), server.stop()))
    stopping.start()
    with pytest.raises(ConnectionLost, match=r"does not answer .* the same command goes on") as error:
        remote.measure_parts(device_of(server), parts, resume=True)
    assert len(str(error.value).splitlines()) == 1
    stopping.join()
    first = recorded(tmp_path / "there")[0]
    with pytest.raises(ConnectionLost, match="does not answer"):
        remote.measure_parts(device_of(server), parts, resume=True)
    server.start()
    found = remote.measure_parts(device_of(server), parts, resume=True)
    assert Measurement(**json.loads(first)["measurements"]["network"]) == found.passes[0]["network"]


def test_what_an_earlier_call_left_is_taken_by_who_goes_on_with_it_alone(
    server: Server, matmul: Callable[..., Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, models, run = device_of(server), {"network": matmul(8)}, remote._run

    def lost_at_last(host: Host, command: str, *given: bytes, **told: Callable[[str], object]) -> bytes:
        if command.startswith("rm "):
            raise ConnectionLost("the board is gone")
        return run(host, command, *given, **told)

    with monkeypatch.context() as patch:
        patch.setattr(remote, "_run", lost_at_last)
        left = measure(device, models, options=SHORT, resume=True)  # which is here, and stays there, too
    assert len(recorded(tmp_path / "there")) == 1
    assert measure(device, models, options=SHORT) != left, "what is told as measured now was begun now"
    assert measure(device, models, options=SHORT, resume=True) == left
    assert recorded(tmp_path / "there") == []


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Device, Path]:
    """Returns a device, and what is run of a shell's language before each command that is sent there."""
    script, profile = tmp_path / "bin" / "ssh", tmp_path / "bashrc"
    script.parent.mkdir()
    script.write_text(f'#!/bin/bash\n. {profile}\nexec bash -c "${{@: -1}}"\n')
    script.chmod(0o755)
    profile.write_text("")
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(remote, "FOLDER", str(tmp_path / "there"))
    monkeypatch.setattr(remote, "PAUSES_S", (0.01, 0.01))
    remote._reach.cache_clear()
    return Device(host=f"ssh://pi@board{sys.executable}"), profile


def test_a_shell_may_greet(shell: tuple[Device, Path], matmul: Callable[..., Model]) -> None:
    device, profile = shell
    profile.write_text('echo "Welcome to {board}"; echo -n "since 1990 "\n')
    require_same_machine(fingerprint(Device()), device)
    assert measure(device, {"network": matmul(8)}, options=SHORT)["network"].n_runs == 6
    profile.write_text('echo "This account is not available."; exit 0\n')
    with pytest.raises(InputError, match="pi@board runs no commands over ssh: let it give this user a shell"):
        fingerprint(device)


def test_files_are_copied_some_at_a_time_and_removed_when_two_days_old(
    shell: tuple[Device, Path], matmul: Callable[..., Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, _ = shell
    monkeypatch.setattr(remote, "_BATCH_BYTES", 1)
    there = tmp_path / "there"
    (there / "files").mkdir(parents=True)
    for name, hours in (("files/old.onnx", 49), ("old.results.jsonl", 49), ("files/recent.onnx", 47)):
        (there / name).touch()
        os.utime(there / name, (time.time() - 3600 * hours,) * 2)
    measure(device, {"small": matmul(8), "large": matmul(16)}, options=SHORT)
    files = [path.name for path in (there / "files").iterdir()]
    assert "recent.onnx" in files
    assert len(files) == 1 + 2 * 3, "a model, what it is fed and what comes of that, of each"
    assert [path.name for path in there.glob("*.jsonl")] == []


def test_a_host_that_answered_before_is_waited_for_between_passes(
    shell: tuple[Device, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device, profile = shell
    asked = tmp_path / "asked"

    def answer_after(n: int) -> None:
        asked.write_text("")
        profile.write_text(f"echo >> {asked}; [ $(wc -l < {asked}) -gt {n} ] || exit 255\n")

    answer_after(1)
    with pytest.raises(ConnectionLost, match="pi@board does not answer over ssh"):
        fingerprint(device)
    assert not caplog.text, "a host that never answered is told at once"
    assert fingerprint(device)
    answer_after(2)
    assert fingerprint(device)
    assert caplog.text.count("pi@board: the connection was cut; trying again in") == 2
    profile.write_text("exit 255\n")
    with pytest.raises(ConnectionLost, match="the same command goes on"):
        remote.measure_parts(device, [({}, SHORT)], resume=True)
