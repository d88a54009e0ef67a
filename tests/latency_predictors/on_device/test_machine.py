"""A machine is told from others by its processor, also where the system does not name that; runs are held on cores."""

import os
import platform
import threading
from pathlib import Path

import pytest

from latency_predictors.on_device import machine

X86 = "processor\t: {}\nmodel name\t: AMD EPYC\ncpu family\t: 25\nmodel\t\t: 17\nstepping\t: 1\n\n"
ARM = (
    "processor\t: {}\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x{}\n"
    "CPU part\t: 0x{}\nCPU revision\t: {}\n\n"
)
PI_4 = "".join(ARM.format(core, 0, "d08", 3) for core in range(4)) + "Revision\t: c03111\nSerial\t\t: 100000003\n"
PI_5 = "".join(ARM.format(core, 4, "d0b", 1) for core in range(4))


def test_a_processor_without_a_name_is_told_by_its_numbers_and_its_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    expected = "aarch64 implementer 0x41 variant 0x0 part 0xd08 revision 3"
    assert machine._cpu_in_words(PI_4, "") == expected, "all cores are of one kind, and the serial number is private"
    assert machine._cpu_in_words(PI_4, "Raspberry Pi 4") == f"{expected}, Raspberry Pi 4"
    assert machine._cpu_in_words(PI_5, "") == "aarch64 implementer 0x41 variant 0x4 part 0xd0b revision 1"
    little = ARM.format(4, 0, "d03", 4)
    assert machine._cpu_in_words(PI_5 + little, "").endswith(
        ", aarch64 implementer 0x41 variant 0x0 part 0xd03 revision 4"
    )
    assert machine._cpu_in_words("isa : rv64", "") == "aarch64"


def test_a_processor_with_a_name_is_told_by_that_and_its_version() -> None:
    assert machine._cpu_in_words(X86.format(0) + X86.format(1), "") == "AMD EPYC family 25 model 17 stepping 1"


def test_a_mac_tells_its_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sysctl").write_text('#!/bin/sh\n[ "$*" = "-n machdep.cpu.brand_string" ] && echo Apple M1 Pro\n')
    (tmp_path / "sysctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert machine.describe()["cpu"] == "Apple M1 Pro"


def test_threads_that_were_there_before_are_held_too(monkeypatch: pytest.MonkeyPatch) -> None:
    core = machine.usable_cores()[-1]
    moved: list[tuple[int, list[int]]] = []
    end = threading.Event()
    before = threading.Thread(target=end.wait)
    before.start()
    asked = os.sched_getaffinity(before.native_id or 0)
    monkeypatch.setattr(os, "sched_setaffinity", lambda thread, cores: moved.append((thread, [*cores])))
    try:
        with machine.pinned(1) as held:
            assert held == core
            assert (0, [core]) in moved
            assert (before.native_id, [core]) in moved
            moved.clear()
        assert (before.native_id, sorted(asked)) in moved
        assert machine._move(2**22 + 1, [core]) == [], "it has ended"
    finally:
        end.set()
        before.join()
