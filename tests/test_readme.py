"""The README's Python runs as it stands, but for shorter training and measuring, in a space of fewer blocks."""

import re
from pathlib import Path

import pytest

from latency_predictors.device import MeasureOptions
from latency_predictors.profile import ProfileOptions
from nas import verbs
from nas.finalists import FinalistOptions
from nas.search_options import SearchOptions
from nas.verbs.export import ExportOptions

README = Path(__file__).parent.parent / "README.md"
SHORT = MeasureOptions(min_rounds=3, min_seconds=0, max_seconds=0.5)


@pytest.mark.slow
def test_the_python_example_finds_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    finalists = FinalistOptions(passes=1, measure=SHORT)
    shorter = {
        "profile": ProfileOptions(n_calibration=6, n_held_out=5, noise_repeats=0, measure=SHORT),
        "search": SearchOptions(n_evaluated=10, n_candidates=2, n_predicted=500),
        "finalists": finalists,
        "export": ExportOptions(latency=finalists),
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        verbs, "RunConfig", lambda *args, **options: verbs.run.__globals__["RunConfig"](*args, **options, **shorter)
    )
    space = '"mobilenet_v3_32", {"resolutions": (16, 24)}'
    small = '"autoformer_32", {"depths": (1, 2), "resolution": 8}'
    for said, short in (("epochs=30", "epochs=1"), (space, small), ("40%", "100ms")):  # no noise reaches that
        assert said in code
        code = code.replace(said, short)
    exec(compile(code, "README.md", "exec"), {})
    bundle, accuracy, measured_ms, budget_ms = capsys.readouterr().out.split()
    assert (tmp_path / bundle / "model.onnx").exists()
    assert 0 <= float(accuracy) <= 1
    assert float(measured_ms) <= float(budget_ms)
