"""The whole way, small: from data and a budget to a bundle, through the public API, then from its files alone."""

import dataclasses
import itertools
import json
import re
import shutil
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

import search_spaces
from latency_predictors import runtimes
from latency_predictors.analytic.roofline import Roofline
from latency_predictors.device import MeasureOptions
from latency_predictors.model import Model
from latency_predictors.profile import ProfileOptions
from nas import verbs
from nas.data import DataOptions
from nas.evaluation.batches import Batches
from nas.evaluation.shared_weights import score
from nas.executors.options import ClusterOptions
from nas.export import read_network
from nas.finalists import AtHand, FinalistOptions, Latency, LatencyOptions, measure_networks
from nas.run_directory import digest
from nas.search_options import SearchOptions, StrategyOptions
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
from nas.verbs.search import load_supernet
from nas.verbs.space_config import SpaceConfig
from search_spaces.errors import InputError
from search_spaces.onnx import OnnxNetwork, parity

README = Path(__file__).parents[2] / "README.md"
EXPORTING = import_module("nas.verbs.export")  # whose name is that of its function, too
SHORT = MeasureOptions(min_rounds=3, min_seconds=0, max_seconds=0.5)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    directory = tmp_path_factory.mktemp("run")
    Roofline().save(directory / "board.json")
    return RunConfig(
        data=DataOptions("digits", channels=1),
        budget="100ms",  # that no noise of a busy machine reaches
        bounds={"macs": "100%", "board_latency_ms": "100%"},
        devices={"board": directory / "board.json"},
        output=directory / "digits",
        space=SpaceConfig("autoformer_32", {"depths": (1, 2), "resolution": 8}),
        train=SupernetOptions(epochs=1),
        profile=ProfileOptions(n_calibration=6, n_held_out=5, noise_repeats=0, measure=SHORT),
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
    latency = report["latencies"]["latency_ms"]
    assert latency["measured_ms"] <= latency["budget_ms"]
    assert result["measured_ms"] == latency["measured_ms"]
    again = measure(MeasureConfig(config.output / "export", repeats=2, measure=SHORT))
    assert again["repeats"] == 2
    assert again["within_budget"] == sum(ms <= again["budget_ms"] for ms in again["latencies_ms"])


def test_the_python_example_of_the_readme_asks_for_what_a_run_answers(
    result: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    asked: list[RunConfig] = []
    monkeypatch.setattr(verbs, "run", lambda config: asked.append(config) or result)
    exec(compile(code, README.name, "exec"), {})
    assert [type(config) for config in asked] == [RunConfig]
    names = ("bundle", "test_accuracy", "measured_ms", "budget_ms")
    assert capsys.readouterr().out.split() == [str(result[name]) for name in names]


def test_all_bounds_are_kept_and_reported(config: RunConfig, result: dict[str, object]) -> None:
    report = json.loads((config.output / "export" / "report.json").read_text())
    board, macs = report["latencies"]["board_latency_ms"], report["bounds"]["macs"]
    assert board["measured_ms"] is board["device"] is None, "there is nothing to measure on"
    assert board["predicted_ms"] <= board["budget_ms"] == result["board_budget_ms"]
    assert macs["predicted"] == report["counts"]["macs"] <= macs["bound"] == result["macs_bound"]
    assert isinstance(result["macs"], int)
    card = (config.output / "export" / "README.md").read_text()
    assert "| latency budget on board |" in card
    assert f"| macs | {macs['predicted']:,.6g}, bound {macs['bound']:,.6g}, met |" in card
    shown = show(ShowConfig(config.output / "search"))
    assert (shown["board_predicted_ms"], shown["board_measured_ms"]) == (board["predicted_ms"], None)
    assert (config.output / "search" / "board_pareto.png").exists()


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
    assert runs_its_snippet(config.output / "export") in {str(digit) for digit in range(10)}


def runs_its_snippet(bundle: Path) -> str:
    (snippet,) = re.findall(r"```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", snippet], cwd=bundle, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_finished_run_needs_nothing_any_more(
    config: RunConfig, result: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its device may be gone."""
    monkeypatch.setattr(import_module("nas.verbs.run"), "devices_at_hand", None)
    assert run(config) == result


def test_a_finished_run_is_shown(config: RunConfig, result: dict[str, object]) -> None:
    assert show(ShowConfig(config.output)) | result == show(ShowConfig(config.output))
    for verb in ("train", "profile", "search", "export"):
        assert show(ShowConfig(config.output / verb))["verb"] == verb


def test_searching_again_in_the_same_directory_gives_the_same_network(
    config: RunConfig, result: dict[str, object]
) -> None:
    journals = {path: path.read_bytes() for path in (config.output / "search").glob("*.jsonl")}
    assert len(journals) == 4
    train, profile = config.output / "train", config.output / "profile"
    directory = config.output / "search"
    further = (config.bounds, config.devices)
    asked = SearchConfig(train, profile, config.budget, directory, config.search, config.finalists, *further)
    before = {path: path.read_bytes() for path in directory.iterdir()}
    found = search(asked)
    assert {path: path.read_bytes() for path in directory.iterdir()} == before
    (directory / "result.json").unlink()  # as if it had been killed before the result was written
    again = search(asked)
    assert {name: again[name] for name in ("networks_evaluated", "networks_predicted", "predictor_kendall")} == {
        name: found[name] for name in ("networks_evaluated", "networks_predicted", "predictor_kendall")
    }
    assert {path: path.read_bytes() for path in journals} == journals


def test_a_device_of_numbers_alone_is_searched_for(
    config: RunConfig, result: dict[str, object], tmp_path: Path
) -> None:
    """Nothing is measured there, and nothing says that it was."""
    device, train, budget_ms = tmp_path / "device.json", config.output / "train", 0.05
    Roofline().save(device)
    asked = SearchConfig(train, device, f"{budget_ms}ms", tmp_path / "search", config.search)
    of_energy_alone = {"bounds": {"board_energy_mj": "100%"}, "devices": {"board": device}}
    found = search(dataclasses.replace(asked, **of_energy_alone))  # type: ignore[arg-type]
    assert found["board_energy_mj"] <= found["board_energy_mj_bound"]
    assert found["measured_ms"] is None
    assert found["predicted_ms"] <= budget_ms
    assert found["finalists_measured"] == 0
    assert not (tmp_path / "search" / "predicted-vs-measured.png").exists()
    bundle = tmp_path / "export"
    exported = export(ExportConfig(tmp_path / "search", bundle))
    assert (exported["measured_ms"], exported["predicted_ms"]) == (None, found["predicted_ms"])
    assert "not measured" in (bundle / "README.md").read_text()
    with pytest.raises(InputError, match="names no device"):
        measure(MeasureConfig(bundle))


def test_finalists_are_measured_on_further_devices_and_so_is_what_is_exported(
    config: RunConfig, result: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first device is of numbers alone, the further one this machine."""
    train, first, phone = config.output / "train", tmp_path / "device.json", tmp_path / "phone.json"
    Roofline().save(first)
    shutil.copy(config.output / "profile" / "table.json", phone)
    options = SearchOptions(
        evaluator="shared_weights",
        costs=("phone_latency_ms",),
        n_front=1,
        strategy=StrategyOptions("nsga2", {"population": 5}),
        n_evaluated=10,
        n_validation=64,
        n_statistics=64,
    )
    asked = SearchConfig(
        train,
        first,
        "100%",
        tmp_path / "search",
        options,
        config.finalists,
        {"phone_latency_ms": "100ms"},
        {"phone": phone},
    )
    found = search(asked)
    assert found["measured_ms"] is None
    assert 0 < found["phone_measured_ms"] <= found["phone_budget_ms"] == 100
    assert {"phone_measured_ms", "phone_latency_ms", "accuracy"} <= found["front"][0].keys()
    with pytest.raises(InputError, match=r"made with options.bounds.phone_latency_ms = '100ms', asked for is '99ms'"):
        search(dataclasses.replace(asked, bounds={"phone_latency_ms": "99ms"}))

    exporting = ExportConfig(asked.output, tmp_path / "bundle", dataclasses.replace(config.export, finetune=False))
    with monkeypatch.context() as patch:
        Slow(patch, 101.0)
        with pytest.raises(InputError, match="takes 101 ms on phone now, over the budget of 100 ms"):
            export(exporting)
    exported = export(exporting)
    assert 0 < exported["phone_measured_ms"] <= exported["phone_budget_ms"] == 100
    again = measure(MeasureConfig(exporting.output, repeats=1, measure=SHORT))
    assert again["phone_within_budget"] == (again["phone_highest_ms"] <= 100)
    assert "within_budget" not in again

    phone.write_text(phone.read_text() + " ")
    with pytest.raises(InputError, match=r"phone\.json is not the device phone that .*search searched with"):
        export(dataclasses.replace(exporting, output=tmp_path / "other"))
    with pytest.raises(
        InputError, match=r"was made with another device phone than is asked for, what it holds differs"
    ):
        search(asked)


def test_devices_and_bounds_that_cannot_be_kept_are_refused_before_anything_is_read_or_written(
    config: RunConfig, result: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("nas.verbs.search"), "load_data", None)  # whoever reads them fails
    table = json.loads((config.output / "profile" / "table.json").read_text())
    table["device"]["precision"] = "int8"
    (tmp_path / "int8.json").write_text(json.dumps(table))
    bounds, devices, board = {"board_latency_ms": "50%"}, config.devices, config.devices["board"]
    phone = {"phone": tmp_path / "int8.json"}
    refused = [
        (bounds | {"macs": "-5macs"}, devices, "budget '-5macs' of macs: expected a positive number with its unit"),
        (bounds | {"board_latency_ms": "0.00001ms"}, devices, "no network has board_latency_ms <= 1e-05: the lowest"),
        (
            {"macs": "50%"},
            devices,
            "device board does nothing unless its latency, or what else is known of it",
        ),
        (bounds, {"bord": board}, "unknown metric in bounds 'board_latency_ms': did you mean bord_latency_ms"),
        ({"phone_latency_ms": "50%"}, phone, "phone_latency_ms was measured in int8, latency_ms in float32"),
    ]
    train, profile = config.output / "train", config.output / "profile"
    asked = SearchConfig(train, profile, config.budget, tmp_path / "out", config.search, config.finalists)
    whole = dataclasses.replace(config, output=asked.output)
    for bounds, devices, why in refused:
        with pytest.raises(InputError, match=why):
            search(dataclasses.replace(asked, bounds=bounds, devices=devices))
        with pytest.raises(InputError, match=why):
            run(dataclasses.replace(whole, bounds=bounds, devices=devices))
    assert not asked.output.exists()
    (tmp_path / "board.json").write_text(board.read_text() + " ")
    with pytest.raises(
        InputError, match=r"was made with another device board than is asked for, what it holds differs"
    ):
        run(dataclasses.replace(config, devices={"board": tmp_path / "board.json"}))


@pytest.mark.slow
def test_searching_on_workers_gives_the_same_journals(
    config: RunConfig, result: dict[str, object], tmp_path: Path
) -> None:
    train, profile = config.output / "train", config.output / "profile"
    further = (config.bounds, config.devices)
    asked = SearchConfig(train, profile, config.budget, tmp_path / "search", config.search, config.finalists, *further)
    search(dataclasses.replace(asked, cluster=ClusterOptions(workers=2)))
    for name in ("evaluated", "predicted", "candidates"):
        here = (config.output / "search" / f"{name}.jsonl").read_bytes()
        assert (tmp_path / "search" / f"{name}.jsonl").read_bytes() == here
    (tmp_path / "search" / "result.json").unlink()  # as if it had been killed before the result was written
    search(asked)


@pytest.mark.parametrize("evaluator", ["predictor", pytest.param("shared_weights", marks=pytest.mark.slow)])
def test_a_front_is_measured_along_its_length_and_any_of_it_can_be_exported(
    config: RunConfig, result: dict[str, object], tmp_path: Path, evaluator: Literal["predictor", "shared_weights"]
) -> None:
    asked = config.search if evaluator == "predictor" else SearchOptions(n_evaluated=config.search.n_evaluated)
    options = dataclasses.replace(
        asked,
        evaluator=evaluator,
        costs=("latency_ms", "macs"),
        n_front=3,
        strategy=StrategyOptions("nsga2", {"population": 5}),
    )
    train, profile = config.output / "train", config.output / "profile"
    found = search(SearchConfig(train, profile, config.budget, tmp_path / "search", options, config.finalists))
    front = found["front"]
    assert 1 <= len(front) <= 3
    assert front[0]["architecture"] == found["architecture"]
    assert 0 < found["hypervolume"] < 1
    assert (found["hypervolume_reference"]["accuracy"], found["hypervolume_ideal"]["accuracy"]) == (0, 1)
    assert found["hypervolume_reference"].keys() == found["hypervolume_ideal"].keys() == {"accuracy", *options.costs}
    for one, other in itertools.permutations(front, 2):
        cheaper = one["latency_ms"] < other["latency_ms"] or one["macs"] < other["macs"]
        assert cheaper or one["accuracy"] > other["accuracy"]
    asked = dataclasses.replace(config.export, finetune=False)
    exporting = ExportConfig(tmp_path / "search", tmp_path / "bundle", asked, "none")
    with pytest.raises(InputError, match="unknown finalist within the budget 'none'"):
        export(exporting)
    assert not exporting.output.exists()
    last = front[-1]["architecture"]
    assert export(dataclasses.replace(exporting, architecture=last))["architecture"] == last


def test_what_does_not_belong_together_is_refused(config: RunConfig, result: dict[str, object], tmp_path: Path) -> None:
    train, profile = config.output / "train", config.output / "profile"
    with pytest.raises(InputError, match="no network has latency_ms <= "):
        search(SearchConfig(train, profile, "0.0001ms", tmp_path / "infeasible"))
    with pytest.raises(InputError, match="expected one of `nas train`"):
        search(SearchConfig(profile, profile, "40%", tmp_path / "swapped"))
    with pytest.raises(InputError, match=r"was made with options.budget = '100ms', asked for is '50%'"):
        search(SearchConfig(train, profile, "50%", config.output / "search", config.search, config.finalists))
    with pytest.raises(InputError, match="is of `nas train`, not of `nas export`"):
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


def test_a_device_that_nothing_reaches_is_searched_for_by_its_table_alone(
    config: RunConfig, result: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train, profile = config.output / "train", config.output / "profile"
    document = json.loads((profile / "table.json").read_text())
    document["fingerprint"]["cpu"] = "abacus"
    (tmp_path / "table.json").write_text(json.dumps(document))
    asked = SearchConfig(train, tmp_path / "table.json", "100ms", tmp_path / "search", config.search, unmeasured=True)
    with pytest.raises(InputError, match="--unmeasured measures nothing on the table's device: leave out --on, or"):
        search(dataclasses.replace(asked, host="ssh://board"))
    with pytest.raises(InputError, match=r"--unmeasured does nothing: .*board\.json names no device to measure on"):
        search(dataclasses.replace(asked, table=config.devices["board"]))
    found = search(asked)
    assert (found["measured_ms"], found["finalists_measured"]) == (None, 0)
    assert caplog.text.count("no finalist is measured for the budget, --unmeasured says so: they stand as pred") == 1
    exported = export(ExportConfig(asked.output, tmp_path / "bundle", ExportOptions(finetune=False)))
    assert (exported["measured_ms"], exported["predicted_ms"]) == (None, found["predicted_ms"])
    assert "not measured" in (tmp_path / "bundle" / "README.md").read_text()


class Slow:
    """Measures networks at given latencies in ms, in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *latencies: float) -> None:
        self.latencies = list(latencies)
        monkeypatch.setattr(EXPORTING, "measure_networks", self._measure)

    def _measure(self, device: object, models: list[object], options: LatencyOptions) -> list[Latency]:
        return [Latency(ms, ms, ms, options.passes) for ms in [self.latencies.pop(0) for _ in models]]


@pytest.fixture
def searched(config: RunConfig, result: dict[str, object], tmp_path: Path) -> Path:
    """A copy of the search, two of whose finalists keep the budget."""
    shutil.copytree(config.output / "search", tmp_path / "search")
    path = tmp_path / "search" / "finalists.json"
    document = json.loads(path.read_text())
    assert len(document["finalists"]) >= 2
    for finalist in document["finalists"]:
        finalist["meets_budget"] = True
    path.write_text(json.dumps(document))
    return tmp_path / "search"


@pytest.fixture
def asked(config: RunConfig, searched: Path, tmp_path: Path) -> ExportConfig:
    return ExportConfig(searched, tmp_path / "bundle", config.export)


def test_a_finalist_that_breaks_the_budget_when_measured_again_is_passed_over(
    asked: ExportConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    finalists = json.loads((asked.search / "finalists.json").read_text())["finalists"]
    Slow(monkeypatch, 101.0, 99.0, 98.0)
    result = export(asked)
    assert result["architecture"] == finalists[1]["id"]
    assert result["measured_ms"] == 98.0


@pytest.mark.parametrize("latencies", [[101.0] * 20, [99.0, 101.0]])
def test_what_breaks_the_budget_is_never_handed_out(
    asked: ExportConfig, monkeypatch: pytest.MonkeyPatch, latencies: list[float]
) -> None:
    """Neither if all finalists do, nor if the best does after fine-tuning."""
    Slow(monkeypatch, *latencies)
    with pytest.raises(InputError, match="takes 101 ms now, over the budget of 100 ms"):
        export(asked)
    assert not (asked.output / "model.onnx").exists()


def test_fine_tuning_is_not_lost(
    config: RunConfig, result: dict[str, object], asked: ExportConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Slow(monkeypatch, 99.0, 101.0)
    with pytest.raises(InputError, match="over the budget"):
        export(asked)
    monkeypatch.setattr(EXPORTING, "finetune", None)  # whoever calls it fails
    Slow(monkeypatch, 99.0, 99.0)
    again, at_once = export(asked), config.output / "export"
    for name in ("test_accuracy", "validation_accuracy"):
        assert again[name] == result[name]
    assert sorted(path.name for path in asked.output.iterdir()) == sorted(path.name for path in at_once.iterdir())


def test_an_int8_budget_is_kept_by_the_int8_network_that_is_handed_out(
    config: RunConfig, asked: ExportConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is measured, what is scored and what the bundle's README runs are one file."""
    table = json.loads((config.output / "profile" / "table.json").read_text())
    table["device"]["precision"] = "int8"
    path = asked.search.with_name("table.json")
    path.write_text(json.dumps(table))
    run_json = asked.search / "run.json"
    document = json.loads(run_json.read_text())
    document["inputs"]["table"], document["options"]["table"] = digest(path), str(path)
    run_json.write_text(json.dumps(document))
    measured: list[bytes] = []

    def recording(at_hand: AtHand, models: list[Model], options: LatencyOptions) -> list[Latency]:
        device = at_hand.device
        measured.extend(runtimes.load(device.runtime).convert(model, device).content for model in models)
        return measure_networks(at_hand, models, options)

    monkeypatch.setattr(EXPORTING, "measure_networks", recording)
    result = export(dataclasses.replace(asked, export=dataclasses.replace(asked.export, finetune=False)))
    bundle = asked.output
    content = (bundle / "model.onnx").read_bytes()
    assert measured == [content]
    assert "QuantizeLinear" in {node.op_type for node in onnx.load_from_string(content).graph.node}
    float32 = onnx.load(bundle / "model.float32.onnx")
    space, architecture, network, _ = read_network(bundle)
    network.eval()
    assert parity(float32, network, [space.example(architecture, 2, torch.Generator())]) < 1e-4
    _, data = load_supernet(config.output / "train")
    test = Batches(data, data.read_test())
    prepare = partial(space.prepare, architecture=architecture)
    scores = json.loads((bundle / "report.json").read_text())["scores"]
    assert scores["test"] == score(OnnxNetwork(content), test, prepare)
    assert scores["float32"]["test"] == score(network, test, prepare)
    assert result["test_accuracy"] == scores["test"]["accuracy"]
    assert 0.5 < result["agreement_with_float32"] <= 1
    assert runs_its_snippet(bundle) in {str(digit) for digit in range(10)}
    assert "accuracy in float32" in (bundle / "README.md").read_text()
    assert measure(MeasureConfig(bundle, repeats=1, measure=SHORT))["repeats"] == 1


def test_a_supernet_that_was_trained_anew_is_not_exported_from(
    config: RunConfig, asked: ExportConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = asked.search / "run.json"
    document = json.loads(path.read_text())
    document["inputs"]["supernet"] = "0" * 64
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"supernet\.safetensors is not the supernet that .*search searched with"):
        export(asked)
    assert not asked.output.exists()


def test_a_run_that_was_moved_is_still_one(config: RunConfig, result: dict[str, object], tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(config.output, moved)
    hidden = config.output.with_name("hidden")
    config.output.rename(hidden)
    try:
        assert run(dataclasses.replace(config, output=moved)) == result
        options = dataclasses.replace(config.export, finetune=False)
        bundle = export(ExportConfig(moved / "search", tmp_path / "bundle", options))
    finally:
        hidden.rename(config.output)
    assert bundle["budget_ms"] == result["budget_ms"]


def test_a_directory_of_another_verb_is_left_alone(config: RunConfig, result: dict[str, object]) -> None:
    before = (config.output / "train" / "run.json").read_bytes()
    with pytest.raises(InputError, match="is of `nas train`, not of `nas run`"):
        run(dataclasses.replace(config, output=config.output / "train"))
    assert (config.output / "train" / "run.json").read_bytes() == before
