"""From a design over measurements to a model that a search takes, by the verbs an engineer types."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from click.testing import CliRunner

import search_spaces
from latency_predictors.analytic.roofline import Roofline
from latency_predictors.device import Device, MeasureOptions
from latency_predictors.saved_models import read_latency_model
from latency_predictors.table.rows import LatencyColumn
from nas.commands import _command
from nas.objectives import parse_budget
from nas.verbs import DesignConfig, FitConfig, design, fit
from nas.verbs.search import feasible_region
from nas.verbs.space_config import SpaceConfig
from search_spaces import InputError
from search_spaces.plan_index import Population

OPTIONS = {"cells": 1, "channels": 4, "resolution": 8}
NAMED = SpaceConfig("nasbench201", OPTIONS)
SPACE = search_spaces.load("nasbench201", **OPTIONS)
DEVICES = {"here": Roofline(), "slow": Roofline(gflops=1.0, launch_us=0.1), "launching": Roofline(launch_us=30.0)}


def networks(n: int) -> Population:
    drawn = SPACE.canonical(SPACE.sample(4 * n, np.random.default_rng(0)))
    return drawn[np.sort(np.unique(drawn, axis=0, return_index=True)[1])][:n]


def write(folder: Path, name: str, population: Population) -> Path:
    latencies = pa.array(DEVICES[name].cost_model(SPACE).predict(population) * 1000)
    rows = pa.Table.from_pylist([dict(one) for one in SPACE.decode(population)])
    pyarrow.csv.write_csv(rows.append_column("latency_us", latencies), folder / f"{name}.csv")
    return folder / f"{name}.csv"


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
    assert model.device == Device()
    region, budget_ms = feasible_region(model, SPACE, "50%")
    inside = region.sample(20, np.random.default_rng(0))
    guarded = model.cost_model(SPACE).predict(inside) * (1 + result["margin"])
    assert np.all(guarded <= budget_ms)
    assert budget_ms == parse_budget("50%", model.cost_model(SPACE))


def test_a_few_designed_networks_and_known_devices_make_a_model(tmp_path: Path) -> None:
    known = tuple(write(tmp_path, name, networks(60)) for name in ("slow", "launching"))
    column = LatencyColumn("latency_us")
    designed = design(DesignConfig(tmp_path / "design", NAMED, networks=5, known=known, latency=column))
    rows = pyarrow.csv.read_csv(designed["networks"]).to_pylist()
    assert [row["latency_ms"] for row in rows] == [None] * 5
    chosen = SPACE.encode([{name: row[name] for name in row if name != "latency_ms"} for row in rows])
    path = write(tmp_path, "here", chosen)
    result = fit(FitConfig(path, tmp_path / "model", NAMED, latency=column, known=known, designed=True))
    assert result["method"] == "transferred"
    found = read_latency_model(tmp_path / "model")
    predicted = found.cost_model(SPACE).predict(networks(100))
    truth = DEVICES["here"].cost_model(SPACE).predict(networks(100))
    assert np.median(np.abs(predicted / truth - 1)) < 0.1
    assert found.device is None


def test_networks_are_measured_where_the_device_is_at_hand(tmp_path: Path) -> None:
    short = MeasureOptions(min_rounds=3, min_seconds=0, max_seconds=0.2)
    made = design(DesignConfig(tmp_path / "design", NAMED, networks=3, device=Device(), measure=short))
    result = fit(FitConfig(Path(made["networks"]), tmp_path / "model", NAMED, device=Device()))
    assert result["method"] == "transferred"  # three networks are too few to learn from alone
    assert 0 < result["fastest_ms"] < result["slowest_ms"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": None}, "does not say of which space it is: give --space"),
        ({"latency": "latency_ms"}, r"unknown column of .*here\.csv 'latency_ms': did you mean latency_us"),
        ({"method": "learned"}, "5 measured networks: expected at least 10"),
        ({"known": (Path("absent.csv"),)}, r"latencies absent\.csv: .*No such file"),
        ({"method": "learned", "designed": True}, "designed True does nothing without method transferred"),
        ({"seed": 3}, "seed 3 does nothing without method learned"),
    ],
)
def test_what_cannot_be_fitted_is_told(options: dict[str, object], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, "here", networks(5))
    column = LatencyColumn(str(options.pop("latency", "latency_us")))
    asked = {"measured": path, "output": tmp_path / "model", "space": NAMED, "latency": column, **options}
    with pytest.raises(InputError, match=message) as error:
        fit(FitConfig(**asked))  # type: ignore[arg-type]
    assert len(str(error.value).splitlines()) == 1


def test_a_design_measures_only_on_a_device(tmp_path: Path) -> None:
    short = MeasureOptions(min_rounds=3)
    with pytest.raises(InputError, match=r"^measure .*min_rounds=3.* does nothing without a device to measure on"):
        design(DesignConfig(tmp_path / "design", NAMED, networks=3, measure=short))
    assert not (tmp_path / "design").exists()
