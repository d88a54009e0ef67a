"""A branch's cable is cut and mended, nothing is left of it, and who may not make one is told."""

import contextlib
import os
import socket
import subprocess
import sys
import threading

import pytest

from experiments.faults import network
from search_spaces.errors import InputError

CALL = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.5).close()
except OSError as error:
    sys.exit(1)
"""


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


def test_a_cable_is_cut_and_mended_and_nothing_is_left() -> None:
    with contextlib.ExitStack() as stack:
        try:
            branch = stack.enter_context(network.branch())
        except InputError as error:
            pytest.skip(str(error))
        called = stack.enter_context(socket.socket())
        called.bind((branch.here, 0))
        called.listen()
        call = ["ip", "netns", "exec", branch.namespace, sys.executable, "-c", CALL, *map(str, called.getsockname())]

        def answers() -> bool:
            return subprocess.run(call, check=False).returncode == 0

        assert answers()
        cut = threading.Thread(target=branch.cut, args=(1.5,))
        cut.start()
        assert not answers()
        cut.join()
        assert any(answers() for _ in range(20)), "once the neighbours know of each other again"
        left = subprocess.Popen(["ip", "netns", "exec", branch.namespace, "sleep", "1000"])
    assert left.wait() == -9
    assert branch.namespace not in namespaces()


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InputError, match="run as root, or leave the fault out"), network.branch():
        pass
