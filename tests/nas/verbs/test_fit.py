"""From a design over measurements to a model that a search takes, by the verbs an engineer types."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import yaml
from click.testing import CliRunner

import search_spaces
from latency_predictors.analytic.roofline import Roofline
from latency_predictors.device import Device, Measurement, MeasureOptions
from latency_predictors.fingerprint import fingerprint
from latency_predictors.learned.learned_latency import FEWEST
from latency_predictors.saved_models import read_latency_model
from latency_predictors.table import published
from latency_predictors.table.latency_table import LatencyTable, MeasuredNetwork
from latency_predictors.table.published import read_block_latencies
from latency_predictors.table.rows import LatencyColumn
from latency_predictors.transfer import known_device
from nas.bounds import LATENCY, feasible_region
from nas.commands import _command
from nas.config import build
from nas.finalists import devices_at_hand
from nas.objectives import parse_budget
from nas.verbs import DesignConfig, FitConfig, design, fit
from nas.verbs.space_config import SpaceConfig
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population

OPTIONS = {"cells": 1, "channels": 4, "resolution": 8}
NAMED = SpaceConfig("nasbench201", OPTIONS)
SPACE = search_spaces.load("nasbench201", **OPTIONS)
DEVICES = {"here": Roofline(), "slow": Roofline(gflops=1.0, launch_us=0.1), "launching": Roofline(launch_us=30.0)}


def networks(n: int) -> Population:
    drawn = SPACE.canonical(SPACE.sample(4 * n, np.random.default_rng(0)))
    return drawn[np.sort(np.unique(drawn, axis=0, return_index=True)[1])][:n]


def write(folder: Path, name: str, population: Population, space: SearchSpace = SPACE) -> Path:
    folder.mkdir(exist_ok=True)
    latencies = pa.array(DEVICES[name].cost_model(space).predict(population) * 1000)
    rows = pa.Table.from_pylist([dict(one) for one in space.decode(population)])
    pyarrow.csv.write_csv(rows.append_column("latency_us", latencies), folder / f"{name}.csv")
    return folder / f"{name}.csv"


def profiled(folder: Path, name: str, device: Device | None = None, **machine: str) -> Path:
    """Write what `nas profile` would of one of the devices, on this machine but for some entries of its fingerprint."""

    def measurement(ms: float) -> Measurement:
        return Measurement(ms, ms, ms, spread=0.0, n_runs=10, stable=True, pinned=True)

    blocks = {repr(block): measurement(1e-6 + DEVICES[name].latency_ms(block)) for block in SPACE.index.blocks}
    population = networks(20)
    latencies = DEVICES[name].cost_model(SPACE).predict(population).tolist()
    whole = [MeasuredNetwork(a, ms, ms) for a, ms in zip(SPACE.decode(population), latencies, strict=True)]
    there = {**fingerprint(), **machine}
    LatencyTable(SPACE, device or Device(), there, blocks, whole[:8], whole[8:]).save(folder / name / "table.json")
    return folder / name


def test_a_learned_model_is_searched_under(tmp_path: Path) -> None:
    path = write(tmp_path, "here", networks(30))
    said = ["--measured", str(path), "--space", "nasbench201", "--latency", "latency_us", "--device.runtime"]
    said += ["onnxruntime", "--output", str(tmp_path / "model"), "--format", "json"]
    for name, value in OPTIONS.items():
        said += ["--space.options", f"{name}={value}"]
    told = CliRunner().invoke(_command("fit", fit), said, catch_exceptions=False)
    result = json.loads(told.output)
    assert (result["method"], result["networks"]) == ("learned", 30)
    assert result["mean_absolute"] < 0.1
    model = read_latency_model(tmp_path / "model")
    assert (model.device, model.fingerprint) == (Device(), fingerprint(Device()))
    region = feasible_region({LATENCY: model}, SPACE, {LATENCY: "50%"})
    budget_ms = region.bounds[LATENCY]
    inside = region.sample(20, np.random.default_rng(0))
    guarded = model.cost_model(SPACE).predict(inside) * (1 + result["margin"])
    assert np.all(guarded <= budget_ms)
    assert budget_ms == parse_budget("50%", model.cost_model(SPACE))


def test_a_few_designed_networks_and_known_devices_make_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tuple(write(tmp_path, name, networks(60)) for name in ("slow", "launching"))  # in latency_us
    designed = design(DesignConfig(tmp_path / "design", NAMED, networks=5, known=known))
    assert f"--designed --known {known[0]},{known[1]} --space" in designed["then"]
    path = Path(designed["networks"])
    rows = pyarrow.csv.read_csv(path).to_pylist()
    assert [row["latency_ms"] for row in rows] == [None] * 5
    chosen = SPACE.encode([{name: row[name] for name in row if name != "latency_ms"} for row in rows])
    latencies = DEVICES["here"].cost_model(SPACE).predict(chosen).tolist()
    filled = pa.Table.from_pylist([{**row, "latency_ms": ms} for row, ms in zip(rows, latencies, strict=True)])
    pyarrow.csv.write_csv(filled, path)
    options = FitConfig(path, tmp_path / "model", NAMED, known=known, designed=True)
    result = fit(options)
    assert result["method"] == "transferred"
    found = read_latency_model(tmp_path / "model")
    predicted = found.cost_model(SPACE).predict(networks(100))
    truth = DEVICES["here"].cost_model(SPACE).predict(networks(100))
    assert np.median(np.abs(predicted / truth - 1)) < 0.1
    assert found.device is None
    again = dataclasses.replace(options, output=tmp_path / "again", elsewhere=tmp_path / "model")
    with pytest.raises(
        InputError, match=r"model is of the space that is fitted, .* another; .* goes by --known, of other"
    ):
        fit(again)
    assert not (tmp_path / "again").exists()
    monkeypatch.setattr(known_device, "fit_device", None)
    assert fit(options) == result, "known devices are not fitted for a result that is there"


def test_what_the_device_adds_up_to_in_another_space_is_taken_over(tmp_path: Path) -> None:
    options = {**OPTIONS, "channels": 8}
    other = search_spaces.load("nasbench201", **options)
    known = tuple(write(tmp_path / "other", name, networks(20), other) for name in ("slow", "launching"))
    path = write(tmp_path / "other", "here", networks(5), other)
    fit(FitConfig(path, tmp_path / "model", SpaceConfig("nasbench201", options), known=known))
    known = tuple(write(tmp_path, name, networks(20)) for name in ("slow", "launching"))
    here = FitConfig(write(tmp_path, "here", networks(5)), tmp_path / "here", NAMED, known=known)
    result = fit(dataclasses.replace(here, elsewhere=tmp_path / "model"))
    assert result["resembles"]["elsewhere"] > 0.3  # though it adds up to devices that it resembles little


def test_networks_are_measured_where_the_device_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = MeasureOptions(min_rounds=3, min_seconds=0, max_seconds=0.2)
    answers = [fingerprint(Device())]
    monkeypatch.setitem(design.__globals__, "fingerprint", lambda device: answers.pop())  # and is gone afterwards
    made = design(DesignConfig(tmp_path / "design", NAMED, networks=3, device=Device(), measure=short))
    options = FitConfig(Path(made["networks"]), tmp_path / "model", NAMED)
    result = fit(options)
    assert result["method"] == "transferred"  # three networks are too few to learn from alone
    assert 0 < result["fastest_ms"] < result["slowest_ms"]
    model = read_latency_model(tmp_path / "model")
    assert (model.device, model.fingerprint) == (Device(), fingerprint(Device())), "those of the design"
    for name, value in {"runtime": "torch_eager", "batch_size": 8}.items():
        other = dataclasses.replace(options, output=tmp_path / "other", device=Device.from_json({name: value}))
        with pytest.raises(InputError, match=rf"was measured with device {name} \S+, not {value}"):
            fit(other)
    assert not (tmp_path / "other").exists()


def test_a_model_of_a_table_is_of_the_table_s_machine(tmp_path: Path) -> None:
    path = profiled(tmp_path, "here", Device(threads=4), cpu="an abacus")
    assert fit(FitConfig(path, tmp_path / "model", method="transferred"))["networks"] == 20
    with pytest.raises(InputError, match=r"an abacus.* there.* say where .* or let .*, or take this machine for it"):
        devices_at_hand({LATENCY: read_latency_model(tmp_path / "model")})
    for device, message in {
        Device(threads=1): r"device threads 4, not 1: say --device\.threads 4, or leave out --device",
        Device(threads=4, precision="int8"): "device precision float32, not int8",
    }.items():
        with pytest.raises(InputError, match=message):
            fit(FitConfig(path, tmp_path / "other", device=device))
    assert not (tmp_path / "other").exists()
    elsewhere = Device(threads=4, host="ssh://pi@board")
    fit(FitConfig(path, tmp_path / "moved", method="transferred", device=elsewhere))
    moved = read_latency_model(tmp_path / "moved")
    assert (moved.device, moved.fingerprint) == (elsewhere, {**fingerprint(), "cpu": "an abacus"})


def test_a_model_beside_a_table_does_not_hide_that_the_table_has_changed(tmp_path: Path) -> None:
    folder = profiled(tmp_path, "slow")
    config = FitConfig(folder, tmp_path / "model", method="learned")
    fit(config)
    (folder / "model.safetensors").write_bytes((tmp_path / "model" / "model.safetensors").read_bytes())
    assert fit(config)["method"] == "learned", "the same table, whatever lies beside it"
    profiled(tmp_path, "launching").joinpath("table.json").replace(folder / "table.json")
    with pytest.raises(InputError, match="was made with another measured than is asked for"):
        fit(config)


def test_a_model_of_no_known_devices_says_nothing_of_another_space(tmp_path: Path) -> None:
    alone = FitConfig(write(tmp_path, "here", networks(5)), tmp_path / "alone", NAMED)
    fit(alone)
    known = (write(tmp_path, "slow", networks(20)),)
    with pytest.raises(InputError, match=r"alone holds a \S+ of no known devices, which does not say what the device"):
        fit(dataclasses.replace(alone, output=tmp_path / "model", known=known, elsewhere=tmp_path / "alone"))


def test_a_known_device_may_be_a_table(tmp_path: Path) -> None:
    known = tuple(profiled(tmp_path, name, cpu="an abacus") for name in ("slow", "launching"))
    path = write(tmp_path, "here", networks(8))
    drawn = known_device.read_known_networks(known, SPACE, LatencyColumn())[0].population
    assert len(np.unique(SPACE.canonical(drawn), axis=0)) == len(drawn) > 200, "each network once"
    result = fit(FitConfig(path, tmp_path / "model", NAMED, known=known))
    assert result["method"] == "transferred"
    assert read_latency_model(tmp_path / "model").device is None
    truth = DEVICES["here"].cost_model(SPACE).predict(networks(100))
    predicted = read_latency_model(tmp_path / "model").cost_model(SPACE).predict(networks(100))
    assert np.median(np.abs(predicted / truth - 1)) < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": None}, "does not say of which space it is: give --space"),
        ({"latency": "latency_ms"}, r"unknown column of .*here\.csv 'latency_ms': did you mean latency_us"),
        ({"method": "learned"}, r"here\.csv: 5 measured networks: expected at least 10"),
        ({"known": (Path("absent.csv"),)}, r"latencies absent\.csv: .*No such file"),
        ({"method": "learned", "designed": True}, "--designed does nothing without method transferred"),
        ({"seed": 3}, "--seed 3 does nothing without method learned"),
        ({"device": Device(threads=4096)}, r"device threads 4096 are more than the \d+ cores here: lower `threads`"),
        ({"device": Device(precision="int8", runtime="torch_eager")}, "device precision int8: runtime torch_eager is"),
        ({"designed": True}, "--designed does nothing without known devices"),
        ({"known_latency": LatencyColumn("latency_us")}, "^--known-latency does nothing without known devices"),
    ],
)
def test_what_cannot_be_fitted_is_told(options: dict[str, object], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, "here", networks(5))
    column = LatencyColumn(str(options.pop("latency", "latency_us")))
    asked = {"measured": path, "output": tmp_path / "model", "space": NAMED, "latency": column, **options}
    with pytest.raises(InputError, match=message) as error:
        fit(FitConfig(**asked))  # type: ignore[arg-type]
    assert len(str(error.value).splitlines()) == 1
    assert "device" not in options or not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.0] * 6 + [1000.0] * 6, "nothing foretells these latencies"),
        ([5.0] * 12, r"odd\.csv: all measured networks took 5 ms: expected latencies that differ"),
        (["1.5"] * 11 + ["fast"], "line 13: latency_ms is 'fast', expected a positive number"),
    ],
)
def test_latencies_that_say_nothing_are_refused(column: list[object], message: str, tmp_path: Path) -> None:
    rows = pa.Table.from_pylist([dict(one) for one in SPACE.decode(networks(12))])
    path = tmp_path / "odd.csv"
    pyarrow.csv.write_csv(rows.append_column("latency_ms", pa.array(column)), path)
    with pytest.raises(InputError, match=message):
        fit(FitConfig(path, tmp_path / "model", NAMED))
    assert not (tmp_path / "model" / "model.safetensors").exists()


@pytest.mark.parametrize(("n", "factor"), [(30, 1e5), (30, 1e-3), (5, 1e3)])
def test_a_latency_of_another_order_of_magnitude_is_refused(n: int, factor: float, tmp_path: Path) -> None:
    path, known = write(tmp_path, "here", networks(n)), write(tmp_path, "slow", networks(20))
    rows = pyarrow.csv.read_csv(path)
    latencies = rows["latency_us"].to_numpy().copy()
    row = int(np.argsort(latencies)[n // 2])
    latencies[row] *= factor
    slipped = rows.set_column(rows.num_columns - 1, "latency_us", pa.array(latencies))
    pyarrow.csv.write_csv(slipped, path)
    message = rf"here\.csv, line {row + 2}: \S+ ms is more than 100 times {'above' if factor > 1 else 'below'} what"
    for method, others in {"learned": (), "transferred": (known,)}.items():
        if n >= FEWEST or others:
            with pytest.raises(InputError, match=message):
                fit(FitConfig(path, tmp_path / method, NAMED, known=others, method=method))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message if n >= FEWEST else "expected at least 10"):  # known as it is
        fit(FitConfig(write(tmp_path, "launching", networks(5)), tmp_path / "other", NAMED, known=(path,)))
    if n >= FEWEST:
        with pytest.raises(InputError, match=message):
            design(DesignConfig(tmp_path / "design", NAMED, known=(path,), networks=5))
    assert not [*tmp_path.glob("*/")], "no output directory is begun"


def test_more_networks_than_known_devices_are_transferred_to_are_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, known = (write(tmp_path, name, networks(12)) for name in ("here", "slow"))
    monkeypatch.setitem(fit.__globals__, "MOST", 11)  # the module has the name of its verb
    column = LatencyColumn("latency_us")
    with pytest.raises(InputError, match=r"12 measured networks, expected at most 11 .* --method learned, without"):
        fit(FitConfig(measured, tmp_path / "model", NAMED, latency=column, known=(known,), known_latency=column))
    assert not (tmp_path / "model").exists()


def test_a_folder_without_a_table_and_a_model_of_another_kind_are_told(tmp_path: Path) -> None:
    path, known = write(tmp_path, "here", networks(12)), write(tmp_path, "slow", networks(12))
    with pytest.raises(
        InputError, match=r"is a folder without table\.json: give a file of rows, or an output directory"
    ):
        fit(FitConfig(tmp_path, tmp_path / "model"))
    fit(FitConfig(path, tmp_path / "learned", NAMED, method="learned"))
    asked = FitConfig(path, tmp_path / "model", NAMED, known=(known,), elsewhere=tmp_path / "learned")
    with pytest.raises(InputError, match=r"learned holds a learned-latency/2, .* --method transferred$"):
        fit(asked)
    assert not (tmp_path / "model").exists()


def test_a_device_is_not_known_to_itself(tmp_path: Path) -> None:
    path = write(tmp_path, "here", networks(12))
    with pytest.raises(InputError, match=r"here\.csv is measured and known: leave it out of --known"):
        fit(FitConfig(path, tmp_path / "model", NAMED, known=(path,)))


def test_the_columns_of_known_devices_may_be_others(tmp_path: Path) -> None:
    known = write(tmp_path, "slow", networks(12))
    rows = pyarrow.csv.read_csv(known)
    pyarrow.csv.write_csv(rows.rename_columns([*rows.column_names[:-1], "pixel"]), known)
    asked = {"measured": write(tmp_path, "here", networks(5)), "output": tmp_path / "model", "known": [known]}
    asked["space"] = {"name": "nasbench201", "options": OPTIONS}
    with pytest.raises(InputError, match=r"slow\.csv has no column latency_us or latency_ms or latency_s"):
        fit(build(FitConfig, asked))
    named = {"latency": "latency_us", "known_latency": {"name": "pixel", "unit": "us"}}
    assert fit(build(FitConfig, asked | named))["method"] == "transferred"


def test_a_published_table_becomes_a_model(tmp_path: Path) -> None:
    space = search_spaces.load("ofa_mobilenet_v3", resolutions=(224,), width=0.25)
    path = tmp_path / "phone.yaml"
    names = dict.fromkeys(alike[-1] for block in space.index.blocks for alike in published._entries(block))
    path.write_text(yaml.safe_dump({name: {"count": 10, "mean": 1000.0, "var": 0.1} for name in names}))
    asked = {"measured": path, "output": tmp_path / "model"}
    asked["space"] = {"name": "ofa_mobilenet_v3", "options": {"resolutions": (224,), "width": 0.25}}
    for more, message in {
        "unit": ({}, r"phone\.yaml does not say its unit: give --latency\.unit"),
        "name": ({"latency": "mean"}, "--latency.name mean does nothing without a file of rows"),
        "seed": ({"seed": 3}, "--seed 3 does nothing without measured networks"),
    }.values():
        with pytest.raises(InputError, match=message):
            fit(build(FitConfig, asked | more))
    assert not (tmp_path / "model").exists()
    result = fit(build(FitConfig, asked | {"latency": {"unit": "us"}}))
    assert (result["method"], result["margin"]) == ("published", 0)
    model = read_latency_model(tmp_path / "model")
    assert model.device is None
    largest = space.encode([space.largest()])
    expected = read_block_latencies(path, space, "us").cost_model(space).predict(largest)
    assert model.cost_model(space).predict(largest) == expected == result["slowest_ms"]


@pytest.mark.usefixtures("toy")
def test_no_more_networks_are_designed_than_there_are(tmp_path: Path) -> None:
    small = SpaceConfig("toy", {"widths": (8, 16), "depths": (1, 2)})
    with pytest.raises(InputError, match="networks 7: toy has 6 different ones"):
        design(DesignConfig(tmp_path / "design", small, networks=7))
    assert not (tmp_path / "design").exists()


def test_a_design_measures_only_on_a_device(tmp_path: Path) -> None:
    short = MeasureOptions(min_rounds=3)
    with pytest.raises(InputError, match=r"^--measure does nothing without a device to measure on"):
        design(DesignConfig(tmp_path / "design", NAMED, networks=3, measure=short))
    assert not (tmp_path / "design").exists()


def test_a_design_is_not_begun_for_a_device_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(design.__globals__, "most_telling", None)  # whoever chooses networks fails
    nowhere = Device(host="ssh://nobody@127.0.0.1:1")
    with pytest.raises(InputError, match=r"nobody@127\.0\.0\.1 does not answer over ssh"):
        design(DesignConfig(tmp_path / "design", NAMED, networks=3, device=nowhere))
    assert not (tmp_path / "design").exists()
