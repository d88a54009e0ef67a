"""A group's memory is limited by the kernel, and where none can be made, that is said in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.faults import memory
from search_spaces.errors import InputError

GREEDY = """
import os, sys
open(sys.argv[1], "w").write(str(os.getpid()))
bytearray(200 << 20)
"""


def test_the_kernel_ends_who_takes_more_than_the_group_has() -> None:
    try:
        with memory.little_memory() as group:
            done = subprocess.run([sys.executable, "-c", GREEDY, str(group.processes)], check=False)
            assert done.returncode == -9
            assert group.n_killed() == 1
    except InputError as error:
        pytest.skip(str(error))
    assert not group.processes.exists()


def test_where_no_group_can_be_made_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_ROOT", tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no memory group can be made \(No such file"), memory.little_memory():
        pass
