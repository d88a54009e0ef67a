"""The space of docs/your-own-space.md, taken from the page as it stands, goes all the way as any other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import search_spaces.spaces
from latency_predictors.device import MeasureOptions
from latency_predictors.profile import ProfileOptions
from nas.data import DataOptions
from nas.finalists import FinalistOptions
from nas.search_options import SearchOptions
from nas.training import SupernetOptions
from nas.verbs import RunConfig, run
from nas.verbs.export import ExportOptions
from nas.verbs.space_config import SpaceConfig

ROOT = Path(__file__).parents[1]
NAME = "small_resnet"
SHORT = MeasureOptions(min_rounds=3, min_seconds=0, max_seconds=0.5)

CONTRACT_TESTS_WITH_A_FOLDER_MORE = """
import sys, pytest, search_spaces.spaces
folder, name = sys.argv[1:]
search_spaces.spaces.__path__.append(folder)
contract = "tests/search_spaces/test_contract.py"
sys.exit(pytest.main([contract, "-k", name, "-p", "no:cacheprovider", "-o", "addopts="]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the page's file alone."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/your-own-space.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) < 60
    path = tmp_path_factory.mktemp("spaces") / f"{NAME}.py"
    path.write_text(code)
    return path.parent


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_spaces.spaces, "__path__", [*search_spaces.spaces.__path__, str(folder)])


def test_it_passes_the_contract_tests(folder: Path) -> None:
    command = [sys.executable, "-c", CONTRACT_TESTS_WITH_A_FOLDER_MORE, str(folder), NAME]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"\d\d passed", result.stdout)


@pytest.mark.usefixtures("installed")
def test_it_is_as_large_as_it_says() -> None:
    assert search_spaces.load(NAME).size == 39**3
    assert "39^3 = 59,319" in (type(search_spaces.load(NAME)).__doc__ or "")


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_it_is_profiled_trained_searched_and_exported(tmp_path: Path) -> None:
    finalists = FinalistOptions(passes=1, measure=SHORT)
    result = run(
        RunConfig(
            data=DataOptions("digits", channels=1),
            budget="100ms",  # that no noise of a busy machine reaches
            output=tmp_path / "run",
            space=SpaceConfig(NAME, {"resolution": 8, "channels": 4, "depths": [1]}),
            train=SupernetOptions(epochs=1),
            profile=ProfileOptions(n_calibration=6, n_held_out=5, noise_repeats=0, measure=SHORT),
            search=SearchOptions(n_evaluated=10, n_candidates=2, n_predicted=500),
            finalists=finalists,
            export=ExportOptions(latency=finalists),
        )
    )
    assert result["measured_ms"] <= result["budget_ms"]
    assert (tmp_path / "run" / "export" / "model.onnx").exists()
