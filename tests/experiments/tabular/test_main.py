"""How many seeds each strategy gets, and what is refused before anything is searched."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.tabular.__main__ import n_seeds
from search_spaces import InputError


def test_what_is_said_of_a_strategy_goes_before_what_is_said_of_all() -> None:
    assert n_seeds("nsga2", ["20", "nsga2=3"]) == 3
    assert n_seeds("ppo", ["20", "nsga2=3"]) == 20


@pytest.mark.parametrize("said", [["0"], ["nsga2=3"], ["many"], ["-1"]])
def test_no_seeds_are_refused(said: list[str]) -> None:
    with pytest.raises(InputError, match="expected a positive number, as in --seeds 20 ppo=5"):
        n_seeds("ppo", said)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--strategies", "nsga"], "unknown strategy 'nsga': did you mean nsga2"),
        (["--latencies", "phones"], "unknown column of latencies 'phones': did you mean phone?"),
        (["--data", "absent"], "expected a folder with nasbench201.parquet"),
    ],
)
def test_bad_input_is_told_in_one_line_and_writes_nothing(
    folder: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    said = ["--data", str(folder), "--output", str(tmp_path / "out"), "--latencies", "phone", *arguments]
    command = [sys.executable, "-m", "experiments.tabular", *said]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
