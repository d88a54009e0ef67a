"""Ranks that are forked from the test, which takes no time to import anything."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import start_processes

from nas.training.ranks import joined


def _rank(number: int, n: int, directory: Path, function: Callable[[], Any]) -> None:
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(n), "GLOO_SOCKET_IFNAME": "lo"}
    with joined(torch.device("cpu"), f"file://{directory}/meeting"):
        (directory / str(number)).write_bytes(pickle.dumps(function()))


@pytest.fixture
def on_ranks(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Any]]:
    """Calls a function on n ranks at once, and returns what each of them returned."""

    def on_ranks(n: int, function: Callable[[], Any]) -> list[Any]:
        directory = tmp_path_factory.mktemp("ranks")
        start_processes(_rank, (n, directory, function), n, start_method="fork")
        return [pickle.loads((directory / str(number)).read_bytes()) for number in range(n)]

    return on_ranks
