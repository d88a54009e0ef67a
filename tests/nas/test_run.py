"""The whole way, small: from data and a budget to a bundle, through the public API, then from its files alone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

import search_spaces
from latency_predictors.device import MeasureOptions
from latency_predictors.profile import ProfileOptions
from nas.candidates import SearchOptions
from nas.data import DataOptions
from nas.finalists import FinalistOptions, LatencyOptions
from nas.training import SupernetOptions, TrainingOptions
from nas.verbs import (
    ExportConfig,
    MeasureConfig,
    RunConfig,
    SearchConfig,
    ShowConfig,
    export,
    measure,
    run,
    search,
    show,
)
from nas.verbs.export import ExportOptions
from nas.verbs.space_config import SpaceConfig
from search_spaces.errors import InputError

SHORT = MeasureOptions(min_rounds=3, min_seconds=0, max_seconds=0.5)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return RunConfig(
        data=DataOptions("digits", channels=1),
        budget="100ms",  # that no noise of a busy machine reaches
        output=tmp_path_factory.mktemp("run") / "digits",
        space=SpaceConfig("mobilenet_v3_32", {"resolutions": [8]}),
        train=SupernetOptions(epochs=1),
        profile=ProfileOptions(n_calibration=6, n_held_out=5, measure=SHORT),
        search=SearchOptions(n_evaluated=10, n_candidates=2, n_predicted=500),
        finalists=FinalistOptions(at_a_time=2, passes=2, measure=SHORT),
        export=ExportOptions(
            finetune=True, training=TrainingOptions(epochs=1), latency=LatencyOptions(passes=2, measure=SHORT)
        ),
    )


@pytest.fixture(scope="module")
def result(config: RunConfig) -> dict[str, object]:
    return run(config)


def test_the_measured_latency_keeps_the_budget(config: RunConfig, result: dict[str, object]) -> None:
    report = json.loads((config.output / "export" / "report.json").read_text())
    assert report["latency"]["measured_ms"] <= report["latency"]["budget_ms"]
    assert result["measured_ms"] == report["latency"]["measured_ms"]
    again = measure(MeasureConfig(config.output / "export", repeats=2, measure=SHORT))
    assert again["repeats"] == 2
    assert again["within_budget"] == sum(ms <= again["budget_ms"] for ms in again["latencies_ms"])


def test_the_exported_files_are_one_network(config: RunConfig, result: dict[str, object]) -> None:
    bundle = config.output / "export"
    document = json.loads((bundle / "architecture.json").read_text())
    space = search_spaces.from_json(document["space"])
    network = space.build(document["choices"]).eval()
    network.load_state_dict(load_file(bundle / "model.safetensors"))
    (images,) = space.example(document["choices"], 5, torch.Generator())
    (outputs,) = onnxruntime.InferenceSession(bundle / "model.onnx").run(None, {"input": images.numpy()})
    np.testing.assert_allclose(outputs, network(images).detach().numpy(), atol=1e-4)
    assert sum(parameter.numel() for parameter in network.parameters()) == result["n_parameters"]


def test_the_snippet_of_the_readme_runs_within_the_bundle(config: RunConfig, result: dict[str, object]) -> None:
    bundle = config.output / "export"
    (snippet,) = re.findall(r"```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", snippet], cwd=bundle, capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {str(digit) for digit in range(10)}


def test_a_finished_run_is_shown(config: RunConfig, result: dict[str, object]) -> None:
    assert show(ShowConfig(config.output)) | result == show(ShowConfig(config.output))
    for verb in ("train", "profile", "search", "export"):
        assert show(ShowConfig(config.output / verb))["verb"] == verb


def test_searching_again_in_the_same_directory_gives_the_same_network(
    config: RunConfig, result: dict[str, object]
) -> None:
    journals = {path: path.read_bytes() for path in (config.output / "search").glob("*.jsonl")}
    assert len(journals) == 3
    train, profile = config.output / "train", config.output / "profile"
    directory = config.output / "search"
    asked = SearchConfig(train, profile, config.budget, directory, config.search, config.finalists)
    before = {path: path.read_bytes() for path in directory.iterdir()}
    found = search(asked)
    assert {path: path.read_bytes() for path in directory.iterdir()} == before
    (directory / "result.json").unlink()  # as if it had been killed while the finalists were measured
    again = search(asked)
    assert {name: again[name] for name in ("networks_evaluated", "networks_predicted", "predictor_kendall")} == {
        name: found[name] for name in ("networks_evaluated", "networks_predicted", "predictor_kendall")
    }
    assert {path: path.read_bytes() for path in journals} == journals


def test_what_does_not_belong_together_is_refused(config: RunConfig, result: dict[str, object], tmp_path: Path) -> None:
    train, profile = config.output / "train", config.output / "profile"
    with pytest.raises(InputError, match="no network has latency_ms <= "):
        search(SearchConfig(train, profile, "0.0001ms", tmp_path / "infeasible"))
    with pytest.raises(InputError, match="expected one of `nas train`"):
        search(SearchConfig(profile, profile, "40%", tmp_path / "swapped"))
    with pytest.raises(InputError, match=r"was made with options.budget = '100ms', asked for is '50%'"):
        search(SearchConfig(train, profile, "50%", config.output / "search", config.search, config.finalists))
    with pytest.raises(InputError, match="was made with verb = 'train', asked for is 'export'"):
        export(ExportConfig(config.output / "search", train))
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_another_machine_is_refused_unless_allowed(
    config: RunConfig, result: dict[str, object], tmp_path: Path
) -> None:
    document = json.loads((config.output / "profile" / "table.json").read_text())
    document["fingerprint"]["cpu"] = "abacus"
    (tmp_path / "table.json").write_text(json.dumps(document))
    arguments = (config.output / "train", tmp_path / "table.json", "0.0001ms", tmp_path / "out")
    with pytest.raises(InputError, match="allow-foreign-table"):
        search(SearchConfig(*arguments))
    with pytest.raises(InputError, match="no network has latency_ms"):  # past the machine, on to the budget
        search(SearchConfig(*arguments, allow_foreign_table=True))
